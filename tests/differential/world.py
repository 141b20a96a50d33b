"""A program's world: what its statements work on, and the log.

A program is data: lists of statements, a statement a list of a name and arguments. Bodies that tasks run may wait; bodies of callbacks may
not. Things are named by number, and a number is taken modulo how many there are, so that a program stays one when parts of it are left
out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from .clock import Clock

Body = list[list[Any]]
# A program that is stuck ends then.
LAST_UNIT = 20
# One that goes on without end, as where a signal's handler sends the signal, and its clock stands still, ends with this line. It would
# end by the time that it took otherwise, on each loop somewhere else.
MOST_LINES = 5000
# Often enough for each `stop` that a program has.
RUNS = 12

PLAIN: dict[str, Callable[..., Any]] = {}
WAITING: dict[str, Callable[..., Any]] = {}


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A statement that does not wait: for tasks and for callbacks."""
    PLAIN[function.__name__.rstrip("_")] = function
    return function


def waiting(function: Callable[..., Any]) -> Callable[..., Any]:
    """A statement that may wait: for tasks."""
    WAITING[function.__name__.rstrip("_")] = function
    return function


class Boom(Exception):
    """What programs raise."""


class Over(BaseException):
    """The program is over: what still runs ends."""


class Actor:
    """Who runs a body: its name in the log, and the blocks it stands in."""

    def __init__(self, name: str, groups: tuple[Any, ...] = ()) -> None:
        self.name = name
        self.groups = groups
        self.limits: tuple[Any, ...] = ()
        self.within: list[Any] | None = None  # what waits for it


class World:
    """One run of a program on one loop."""

    def __init__(self, loop: Any, clock: Clock, program: dict[str, Any]) -> None:
        self.loop = loop
        self.clock = clock
        self.program = program
        self.log: list[str] = []
        self.over = False
        self.active = 0
        self.futures: list[Any] = []
        self.tasks: list[Any] = []
        self.unset: list[Any] = []
        self.names: dict[Any, str] = {}
        self.handles: list[Any] = []
        self.added: list[Any] = []
        self.locks = [asyncio.Lock() for _ in range(2)]
        self.events = [asyncio.Event() for _ in range(2)]
        self.semaphores = [asyncio.Semaphore(1), asyncio.BoundedSemaphore(2)]
        self.conditions = [asyncio.Condition()]
        self.barriers = [asyncio.Barrier(2), asyncio.Barrier(3)]
        self.queues = [asyncio.Queue(), asyncio.Queue(1), asyncio.PriorityQueue(2), asyncio.LifoQueue()]
        self.getting = dict.fromkeys(self.queues, 0)
        self.putting = dict.fromkeys(self.queues, 0)
        self.numbers = 0
        self.spun = 0
        self.needs: dict[Any, list[Any]] = {}
        self.ends: list[Any] = []
        self.sockets: list[Any] = []
        self.connections: list[Any] = []
        self.endpoints: list[Any] = []
        self.files: list[Any] = []
        self.signals: set[Any] = set()
        self.bells = 0  # how many may be ringing: see `send_signal`
        self.in_event = False
        self.unnamed: list[Any] = []  # tasks that no statement can name
        self.servers: list[Any] = []
        self.streams: list[tuple[Any, Any]] = []
        self.stream_servers: list[str] = []
        self.read_from: set[Any] = set()
        self.closers: list[Callable[[], Any]] = []

    # -- the log

    def tell(self, line: str) -> None:
        """Something happened."""
        if not self.over:
            self.log.append(line)
            if len(self.log) >= MOST_LINES:
                self.over = True
                self.loop.stop()

    def touch(self) -> None:
        """The program runs: the loop is not idle."""
        self.clock.asked = 0
        if self.over:
            raise Over

    def ring(self, turns: int) -> None:
        """A bell rings for so many turns."""
        self.bells += 1
        self.still_ringing(turns)

    def still_ringing(self, turns: int) -> None:
        if turns:
            self.loop.call_soon(self.still_ringing, turns - 1)
        else:
            self.bells -= 1

    def report(self, loop: Any, context: dict[str, Any]) -> None:
        """The loop's exception handler."""
        message = str(context.get("message", "")).split(" <")[0].split(" functools")[0].split(" World")[0]
        if "never retrieved" in message or "was destroyed" in message:
            return  # they depend on when memory is collected
        if "in shielded future" in message:
            return  # told since 3.14, by cede on every version
        self.tell(f"handler: {message if context.get('exception') is None else named(context['exception'])}")

    # -- running

    def start(self) -> None:
        for at, body in enumerate(self.program["tasks"]):
            self.spawn(body, f"T{at}")

    def spawn(self, body: Body, name: str, groups: tuple[Any, ...] = ()) -> Any:
        self.active += 1
        return self.keep(self.loop.create_task(self.act(body, Actor(name, groups))), name)

    def keep(self, future: Any, name: str) -> Any:
        """Statements may name it from now on."""
        self.futures.append(future)
        self.names[future] = name
        if isinstance(future, asyncio.Task):
            self.tasks.append(future)
        return future

    def may_act_past_the_loop(self) -> bool:
        """What is done to a socket past the loop it may see some turns later where it has been busy for long, and one turn later where a
        protocol does it that is told of something.
        """
        return self.spun <= 40 and not self.in_event

    async def act(self, body: Body, me: Actor) -> Any:
        """What a task of the program runs."""
        if me.within is not None:
            me.within.append(asyncio.current_task(self.loop))
        try:
            self.touch()
            self.tell(f"{me.name} begins")
            return await self.run(body, me, me.name)
        except BaseException as error:
            self.tell(f"{me.name} ends by {named(error)}")
            raise
        finally:
            self.active -= 1
            if not self.active and not self.over:
                self.loop.call_later(self.clock.delay(3), self.end_if_idle)

    async def run(self, body: Body, me: Actor, path: str) -> Any:
        for at, (name, *arguments) in enumerate(body):
            self.touch()
            where = f"{path}.{at}"
            if name in PLAIN:
                self.say(where, name, PLAIN[name](self, me, where, *arguments))
                continue
            try:
                result = await WAITING[name](self, me, where, *arguments)
            except BaseException as error:
                self.tell(f"{where} {name} raises {named(error)}")
                raise
            self.say(where, name, result)
        return path

    def run_now(self, body: Body, name: str, in_event: bool = False) -> None:
        """What a callback of the program runs."""
        outer, self.in_event = self.in_event, in_event
        try:
            self.run_here(body, name)
        finally:
            self.in_event = outer

    def run_here(self, body: Body, name: str) -> None:
        me = Actor(name)
        self.touch()
        self.tell(f"{name} runs")
        for at, (statement, *arguments) in enumerate(body):
            where = f"{name}.{at}"
            self.say(where, statement, PLAIN[statement](self, me, where, *arguments))

    def callback(self, body: Body, name: str) -> Callable[..., None]:
        def run(*unused: Any) -> None:
            self.run_now(body, name)

        return run

    def say(self, where: str, name: str, result: Any) -> None:
        self.tell(f"{where} {name}" if result is None else f"{where} {name}: {result}")

    def end_if_idle(self) -> None:
        self.clock.asked = 0
        if not self.active:
            self.end()

    def end(self) -> None:
        """Nothing that comes now counts."""
        self.tell("the end")
        self.over = True
        self.loop.stop()

    def play(self) -> list[str]:
        """Run the program to its end; returns the log."""
        loop = self.loop
        loop.set_exception_handler(self.report)
        asyncio.set_event_loop(loop)
        try:
            loop.call_soon(self.start)
            loop.call_later(self.clock.delay(LAST_UNIT), self.end)
            for _ in range(RUNS):
                loop.run_forever()
                self.tell("stopped")
                if self.over:
                    break
            self.over = True
            self.clear_up()
        finally:
            asyncio.set_event_loop(None)
            loop.close()
        return self.log

    def clear_up(self) -> None:
        for close in reversed(self.closers):
            with contextlib.suppress(OSError, RuntimeError, AttributeError):
                close()
        for _ in range(100):
            left = asyncio.all_tasks(self.loop)
            if not left:
                break
            for task in left:
                task.cancel()
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        for _ in range(3):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        for file in [*self.sockets, *self.files]:
            file.close()
        for future in self.futures:
            if future.done() and not future.cancelled():
                future.exception()

    # -- picking

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def future(self, index: int) -> Any:
        return self.futures[index % len(self.futures)]

    def task(self, index: int) -> Any:
        return self.tasks[index % len(self.tasks)]

    def to_wait_for(self, indices: list[int]) -> list[Any]:
        """Those of them that the current task may wait for: nobody waits in a circle."""
        me = asyncio.current_task(self.loop)
        return [future for future in (self.future(index) for index in indices) if not self.leads_to(future, me)]

    def leads_to(self, future: Any, me: Any) -> bool:
        seen = set()
        look = [future]
        while look:
            each = look.pop()
            if each is me:
                return True
            if each not in seen:
                seen.add(each)
                look.extend(self.needs.get(each, ()))
        return False

    @contextlib.contextmanager
    def waits_for(self, futures: list[Any]) -> Iterator[None]:
        """The current task waits for these meanwhile."""
        needs = self.needs.setdefault(asyncio.current_task(self.loop), [])
        needs.extend(futures)
        try:
            yield
        finally:
            for future in futures:
                needs.remove(future)


def pick(things: list[Any], index: int) -> Any:
    """One of them."""
    return things[index % len(things)]


def named(error: Any) -> str:
    """An exception in the log: its kind, what it holds, and what is told of it; no text that depends on addresses."""
    if error is None:
        return "no error"
    if isinstance(error, BaseExceptionGroup):
        return f"group({', '.join(named(each) for each in error.exceptions)})"
    if isinstance(error, (Boom, asyncio.CancelledError)):
        return f"{type(error).__name__}{error.args!r}"
    return type(error).__name__


def outcome(future: Any) -> str:
    """What became of a future."""
    if not future.done():
        return "pending"
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    return str(future.result()) if error is None else named(error)


class Told:
    """What the protocols of a program have in common: each call of theirs stands in the log, and runs statements."""

    world: World
    name: str
    transport: Any = None
    told = 0

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def tell(self, what: str, body: Body) -> None:
        self.world.touch()
        self.world.tell(f"{self.name} {what}")
        self.told += 1
        if self.told < 30:
            self.world.run_now(body, f"{self.name}!{self.told}", in_event=True)
