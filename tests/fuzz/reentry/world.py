"""Where a program is played: a loop, what its places have made, and the judge.

A **place** is where user code runs; its **script** says what it does each time, round and round. Whatever a script names is a number,
counted modulo what is there, so that any script fits any moment. One action is one step.

What is judged:

* errors that are neither planned nor clean, wherever they turn up: raised to the caller, reported, unraisable, in a thread, out of the run;
* work that was taken in and neither ran nor was reported, cancelled or dropped by ``close()``;
* bytes and datagrams that are another's, or in another order;
* ``connection_lost()`` that came not once; tasks of cede's that no cancellation ends.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import traceback
from typing import Any

DEEPEST = 5  # actions within actions
TURNS = 30  # of one run
RUNS = 40
LAST_RUNS = 6
LONGEST = 5.0  # seconds, for what is seen through
SETTLING = 0.02  # seconds, longer than any timer of a program

INTERRUPTS = (KeyboardInterrupt, SystemExit)
# What the interpreter, and cede, say where something is not as they thought it was. A program's mistake is told in other classes, or
# with words of our own, which are raised by hand: that is looked at in `is_internal`.
INTERNAL = (SystemError, AttributeError, IndexError, KeyError, AssertionError, UnboundLocalError, NameError, ZeroDivisionError)


# How the kernel reports what raised out of an entry of the ring, each of which has to deal with the errors of user code by itself.
LAST_RESORT = "What was ready to run has failed"


class Planned(Exception):
    """Raised by a script."""


class PlannedBase(BaseException):
    """Raised by a script, and no Exception."""


def plan(error: BaseException) -> BaseException:
    """Mark `error` as one of a script's."""
    error.planned = True  # type: ignore[attr-defined]
    return error


def is_planned(error: BaseException | None) -> bool:
    seen = 0
    while error is not None and seen < 50:
        if getattr(error, "planned", False) or isinstance(error, (Planned, PlannedBase)):
            return True
        if isinstance(error, BaseExceptionGroup) and any(map(is_planned, error.exceptions)):
            return True
        error = error.__cause__ or error.__context__
        seen += 1
    return False


def innermost_file(error: BaseException) -> str:
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    return "" if where is None else where.tb_frame.f_code.co_filename


def is_internal(error: BaseException) -> bool:
    """Whether `error` says that something of cede's own was not as cede thought it was."""
    if isinstance(error, SystemError):
        return True
    if not isinstance(error, INTERNAL) and not (isinstance(error, TypeError) and "NoneType" in str(error)):
        return False
    file = innermost_file(error)
    return "cede/" in file and "tests/" not in file


class Script:
    """What a place does, each time that it runs."""

    def __init__(self, name: str, actions: list[Any]) -> None:
        self.name = name
        self.actions = actions
        self.position = 0

    def next(self) -> Any:
        if not self.actions:
            return None
        action = self.actions[self.position % len(self.actions)]
        self.position += 1
        return action


class Link:
    """One connection's way in one direction, or one end's life: how much was sent and received, and how it ended."""

    PATTERN = bytes(range(251)) * 1100

    def __init__(self, tag: int) -> None:
        self.tag = tag
        self.sent = 0
        self.received = 0
        self.unsure = False  # a write was left by an error: how much of it counts is not known
        self.writing = False
        self.overtaken = False  # what comes may be looked at in another order: see `World.overtakes`
        self.made = 0
        self.lost = 0

    def piece(self, size: int) -> bytes:
        start = (self.sent + self.tag * 37) % 251
        return self.PATTERN[start : start + size]

    def check(self, data: bytes) -> str | None:
        start = (self.received + self.tag * 37) % 251
        right = bytes(data) == self.PATTERN[start : start + len(data)]
        self.received += len(data)
        if self.unsure or self.overtaken or right:
            return None
        return f"connection {self.tag}: {bytes(data[:12])!r}... is not what was sent, at byte {self.received - len(data)}"


class World:
    """One program on one loop."""

    def __init__(self, loop: Any, budget: int, mine: bool) -> None:
        self.loop = loop
        self.budget = budget
        self.mine = mine  # a loop of cede's
        self.steps = 0
        self.depth = 0
        self.over = False
        self.closed = False
        self.thread = threading.get_ident()
        self.faults: list[str] = []
        self.handles: dict[int, Any] = {}  # work that was taken in, and has not run
        self.reported: set[int] = set()
        self.numbers = 0
        self.futures: list[Any] = []
        self.tasks: list[Any] = []
        self.plain: list[Any] = []  # tasks that wait for nothing but cede's objects
        self.transports: list[Any] = []
        self.protocols: list[Any] = []
        self.links: list[Link] = []
        self.queues: list[Any] = []
        self.locks: list[Any] = []
        self.events: list[Any] = []
        self.sockets: list[Any] = []
        self.callbacks: list[Any] = []
        self.keep: list[Any] = []
        self.garbage: list[Any] = []
        self.ticks: list[Any] = []  # what the pump does each turn
        self.ends: list[Any] = []  # what the end undoes
        self.scripts: list[Script] = []
        self.turn = 0
        self.long: list[Any] = []  # tasks that are seen through, though all steps are done
        self.pumping = False
        self.deep_done = 0
        self.oddities = 0
        self.depths = 0
        self.robbed = False  # a task that may hold a lock was finished behind its back: others wait for the lock, whoever cancels them
        self.overtakes = False  # a trace function runs turns by hand: the next data is told before the protocol has looked at this one

    # -- judging

    def wrong(self, what: str) -> None:
        if len(self.faults) < 20:
            self.faults.append(what)

    def judge(self, error: BaseException, where: str) -> None:
        if is_internal(error) and not is_planned(error):
            text = "".join(traceback.format_exception(error)[-12:])
            self.wrong(f"{where}: {text}")

    def on_unraisable(self, what: Any) -> None:
        if what.exc_value is not None:
            self.judge(what.exc_value, f"unraisable, {what.err_msg or ''} {type(what.object).__name__}")

    def on_thread_error(self, what: Any) -> None:
        if what.exc_value is not None:
            self.judge(what.exc_value, "in a thread")

    def on_report(self, loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        handle = context.get("handle")
        for number, known in list(self.handles.items()):
            if known is handle:
                self.reported.add(number)
        if context.get("message") == LAST_RESORT:
            self.wrong(f"something of cede's own, run from the ring, has raised: {''.join(traceback.format_exception(error)[-8:])}")
        elif error is not None:
            self.judge(error, f"reported: {context.get('message')}")

    # -- acting

    def act(self, script: Script | None, this: Any = None) -> None:
        """What `script` says next, for the object `this` where it is about one."""
        if script is None or self.over or self.steps >= self.budget or self.depth >= DEEPEST:
            return
        action = script.next()
        if action is None:
            return
        from .actions import ACTIONS, ELSEWHERE

        name = action[0]
        if threading.get_ident() != self.thread and name not in ELSEWHERE:
            return
        self.steps += 1
        self.depth += 1
        try:
            ACTIONS[name](self, this, *action[1:])
        except INTERRUPTS:
            raise
        except BaseException as error:
            if is_planned(error):
                raise
            self.judge(error, f"{script.name}: {action!r}")
        finally:
            self.depth -= 1

    def pick(self, things: list[Any], number: int) -> Any:
        return things[number % len(things)] if things else None

    # -- work that must not be lost

    def take_in(self, how: Any, script: Script | None, *args: Any) -> None:
        """Have the loop run `script` once, by ``how(*args, callback)``."""
        self.numbers += 1
        number = self.numbers
        ran = False

        def run() -> None:
            nonlocal ran
            ran = True
            self.handles.pop(number, None)
            self.act(script)

        handle = how(*args, run)
        self.handles[number] = handle
        if ran:
            # Already: a trace function may run a turn by hand on the line before the last one.
            self.handles.pop(number, None)

    # -- playing

    def play(self, places: list[Any]) -> None:
        loop = self.loop
        loop.set_exception_handler(self.on_report)
        sys.unraisablehook = self.on_unraisable
        threading.excepthook = self.on_thread_error
        for place in places:
            self.guarded(place)
        self.pumping = True
        loop.call_soon(self.pump)
        runs = 0
        while runs < RUNS and self.steps < self.budget and not loop.is_closed() and self.turn < TURNS * 10:
            runs += 1
            self.run()
            if not loop.is_closed() and not self.pumping:
                self.pumping = True
                loop.call_soon(self.pump)
        self.see_through()
        self.end()

    def see_through(self) -> None:
        until = time.monotonic() + LONGEST
        while not self.loop.is_closed() and not all(task.done() for task in self.long) and time.monotonic() < until:
            self.loop.call_later(0.01, self.loop.stop)
            self.run()

    def guarded(self, what: Any, *args: Any) -> None:
        """Call what may raise what it likes."""
        try:
            what(*args)
        except INTERRUPTS:
            pass
        except BaseException as error:
            self.judge(error, f"{what!r}")

    def run(self) -> None:
        try:
            self.loop.run_forever()
        except INTERRUPTS:
            pass
        except BaseException as error:
            # A trace function may close the loop when the run has begun, and looks for its driver.
            refused = isinstance(error, RuntimeError) and self.loop.is_closed() and str(error) == "Event loop is closed"
            if not getattr(error, "from_clock", False) and not refused:
                self.wrong(f"the loop was left by {error!r}: {''.join(traceback.format_exception(error)[-8:])}")
        if self.loop.is_running():
            self.wrong("the loop says it runs, and does not")
        if asyncio._get_running_loop() is not None:
            self.wrong("the thread has a running loop left")
            asyncio._set_running_loop(None)

    def pump(self) -> None:
        """Each turn: a bit of everything; after some, the run ends. Never more than one of it is under way."""
        self.turn += 1
        if self.over or self.turn % TURNS == 0 or self.steps >= self.budget:
            self.pumping = False
            self.loop.stop()
            return
        self.loop.call_soon(self.pump)
        for tick in list(self.ticks):
            self.guarded(tick)
        self.garbage.clear()

    def end(self) -> None:
        """Nobody misbehaves any more: what was taken in must come to an end."""
        self.over = True
        sys.settrace(None)
        sys.setprofile(None)
        for undo in self.ends:
            self.guarded(undo)
        vars(self.loop).pop("time", None) if hasattr(self.loop, "__dict__") else None
        if "time" in getattr(self.loop, "__dict__", {}):
            del self.loop.time
        loop = self.loop
        if not loop.is_closed():
            loop.set_exception_handler(self.on_report)
            loop.set_debug(False)
            loop.set_task_factory(None)
            self.settle(2)
            lost = [number for number, handle in self.handles.items() if not handle.cancelled() and number not in self.reported]
            if lost and not loop.is_closed():
                self.wrong(f"{len(lost)} callbacks never ran: {[self.handles[number] for number in lost[:3]]}")
            for _ in range(4):
                for task in self.plain:
                    task.cancel()
                for transport in self.transports:
                    self.guarded(getattr(transport, "abort", transport.close))
                self.settle(1)
            for task in self.plain:
                # A step of asyncio's own task that comes inside of another task's step is refused, reported, and with it the task is lost.
                if not task.done() and not self.robbed and not (self.mine and isinstance(task, asyncio.tasks._PyTask)):  # type: ignore[attr-defined]
                    self.wrong(f"a task that no cancellation ends: {task!r}")
            for link in self.links:
                if link.made and link.lost != link.made:
                    self.wrong(f"connection {link.tag}: made {link.made} times, lost {link.lost} times")
            for task in asyncio.all_tasks(loop):
                task._log_destroy_pending = False
            self.guarded(loop.close)
            if not loop.is_closed():
                self.wrong("close() did not close the loop")
        for name, thing in list(vars(self).items()):
            if isinstance(thing, (list, dict)) and name != "faults":
                thing.clear()
        gc.enable()
        gc.collect()
        gc.collect()

    def settle(self, runs: int) -> None:
        for _ in range(LAST_RUNS * runs):
            if not self.loop.is_closed():
                # After what is ready, for some turns; the clock is last, for the timers.
                self.loop.call_soon(self.loop.stop)
                self.run()
        if not self.loop.is_closed():
            self.loop.call_later(SETTLING, self.loop.stop)
            self.run()
            self.loop.call_soon(self.loop.stop)
            self.run()
