"""``python -m tests.fuzz.calls SEED ROUNDS LOG``: calls everything with junk. The log's last line names the call that was the last."""

from __future__ import annotations

import asyncio
import copy
import faulthandler
import functools
import gc
import inspect
import logging
import os
import pickle
import random
import signal
import socket
import sys
import tempfile
import threading
import types
import warnings
from collections.abc import Callable
from typing import Any, TextIO

import cede
from cede.core.scheduler import kernel
from cede.net.datagram.transport import DatagramTransport
from cede.net.pipe.read_pipe import ReadPipeTransport
from cede.net.pipe.write_pipe import WritePipeTransport

from .junk import Mutator, coroutine, generator, makers

# Calls that are meant to take for ever, or to end the process.
AVOID = {"run_forever", "run_until_stopped", "run_until_complete", "wait", "_run_once", "turn", "run"}
AVOID |= {"__class__", "__init_subclass__", "__subclasshook__"}
KEYWORDS = ("loop", "name", "context", "eager_start", "msg", "limit", "file", "delay", "when", "timeout", "debug", "sock")
COMPILED = not (kernel.__file__ or "").endswith(".py")
TRANSPORTS = (DatagramTransport, ReadPipeTransport, WritePipeTransport)
COUNTERPARTS = (asyncio.Future, asyncio.Handle, asyncio.AbstractEventLoop)
PUBLIC = {theirs: {*dir(theirs), *dir(asyncio.Task if theirs is asyncio.Future else theirs)} for theirs in COUNTERPARTS}
ONE_ARGUMENT = (repr, str, hash, bool, len, dir, vars, copy.copy, pickle.dumps, asyncio.isfuture)
SECONDS = 5.0


class TooLong(BaseException):
    pass


def too_long(*_: Any) -> None:
    raise TooLong


class Fuzzer:
    def __init__(self, seed: int, log: TextIO) -> None:
        self.rng = random.Random(seed)
        self.log = log
        self.loop: Any = None
        self.makers: list[Callable[[], Any]] = []
        self.kept: list[socket.socket] = []  # the far ends of connections
        self.done = 0

    # -- one call

    def attempt(self, what: str, function: Callable[[], Any]) -> Any:
        """Call; whatever ordinary exception comes of it is fine."""
        self.log.write(what + "\n")
        self.log.flush()
        self.done += 1
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            return function()
        except SystemError as error:
            raise AssertionError(f"{what}: {error!r}") from error
        except TooLong:
            raise AssertionError(f"{what}: took more than {SECONDS} s") from None
        except BaseException:
            return None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def some(self, most: int = 4) -> tuple[list[Any], dict[str, Any]]:
        args = [self.value() for _ in range(self.rng.randrange(most + 1))]
        names = self.rng.sample(KEYWORDS, self.rng.choice((0, 0, 0, 1, 2)))
        return args, {name: self.value() for name in names}

    def value(self) -> Any:
        try:
            return self.rng.choice(self.makers)()
        except RuntimeError:  # the loop was closed by what came before
            return None

    def call(self, what: str, function: Callable[..., Any]) -> Any:
        args, kwargs = self.some()
        shown = ", ".join([type(arg).__name__ for arg in args] + [f"{key}={type(value).__name__}" for key, value in kwargs.items()])
        result = self.attempt(f"{what}({shown})", lambda: function(*args, **kwargs))
        self.drive(what, result)
        for thing in (*args, *kwargs.values()):
            self.put_away(thing)
        return result

    def drive(self, what: str, thing: Any) -> None:
        """A coroutine or an operation came back: take a few steps of it, then drop it."""
        if not hasattr(type(thing), "send") or not hasattr(type(thing), "close"):
            return
        for _ in range(self.rng.randrange(3)):
            self.attempt(f"{what} -> send", lambda: thing.send(None))
        if self.rng.random() < 0.3:
            self.attempt(f"{what} -> throw", lambda: thing.throw(self.value()))
        self.attempt(f"{what} -> close", thing.close)

    def put_away(self, thing: Any) -> None:
        if isinstance(thing, (types.CoroutineType, types.GeneratorType, socket.socket)):
            self.attempt("put away", thing.close)

    # -- one object

    def torment(self, what: str, thing: Any) -> None:
        names = [name for name in dir(type(thing)) if name not in AVOID and not self.is_its_own(thing, name)]
        self.rng.shuffle(names)
        for name in names:
            attribute = inspect.getattr_static(type(thing), name)
            if isinstance(attribute, type):
                continue
            place = f"{what}.{name}"
            found = self.attempt(f"get {place}", lambda name=name: getattr(thing, name))  # type: ignore[misc]
            if callable(found) and not isinstance(found, type):
                self.call(place, found)
            elif not name.startswith("__"):
                value = self.value()
                self.attempt(f"set {place} = {type(value).__name__}", lambda name=name, value=value: setattr(thing, name, value))  # type: ignore[misc]
                if self.rng.random() < 0.3:
                    self.attempt(f"del {place}", lambda name=name: delattr(thing, name))  # type: ignore[misc]
        for label, function in self.operators(thing):
            self.attempt(f"{label} {what}", function)

    def is_its_own(self, thing: Any, name: str) -> bool:
        # Libraries use the underscored names of futures, tasks and handles; those of a loop or a transport may close what is not theirs.
        inner = isinstance(thing, (asyncio.AbstractEventLoop, asyncio.BaseTransport, asyncio.AbstractServer))
        if inner and name.startswith("_") and not name.startswith("__"):
            return True
        if not COMPILED and name == "_when":
            return True  # a heap of unlike things, as asyncio has it then too
        # Uncompiled, the methods that are C functions otherwise can be reached as well.
        return not COMPILED and any(isinstance(thing, theirs) and name not in PUBLIC[theirs] for theirs in COUNTERPARTS)

    def operators(self, thing: Any) -> list[tuple[str, Callable[[], Any]]]:
        other = self.value()
        return [
            *((function.__name__, functools.partial(function, thing)) for function in ONE_ARGUMENT),
            ("==", lambda: thing == other),
            ("<", lambda: thing < other),
            (">=", lambda: thing >= other),
            ("iter", lambda: next(iter(thing))),
            ("await", lambda: next(thing.__await__())),
            ("call", lambda: thing(other)),
            ("item", lambda: type(thing)[other]),
        ]

    # -- the objects

    def victims(self) -> list[tuple[str, Callable[[], Any]]]:
        named = {name: getattr(cede, name) for name in dir(cede) if not name.startswith("_")}
        types_ = [thing for _, thing in sorted(named.items()) if isinstance(thing, type)]
        found: list[tuple[str, Callable[[], Any]]] = []
        for cls in types_:
            found.append((f"unborn {cls.__name__}", lambda cls=cls: cls.__new__(cls)))  # type: ignore[misc]
            found.append((f"junk {cls.__name__}", lambda cls=cls: self.call(cls.__name__, cls)))  # type: ignore[misc]
            heir = self.attempt(f"subclass {cls.__name__}", lambda cls=cls: type("Heir", (cls,), {"__init__": lambda self, *a, **k: None}))  # type: ignore[misc]
            if heir is not None:
                found.append((f"unborn heir of {cls.__name__}", lambda heir=heir: heir()))  # type: ignore[misc]

        def finished() -> Any:
            future = self.loop.create_future()
            self.rng.choice([lambda: future.set_result(1), lambda: future.set_exception(KeyError()), future.cancel])()
            return future

        def watched() -> Any:
            future = self.loop.create_future()
            mutator = Mutator()
            for callback in (print, len, mutator, print):
                future.add_done_callback(callback)
            mutator.target = future
            return future

        async def started(create: Callable[[], Any]) -> Any:
            thing = create()
            await asyncio.sleep(0)
            return thing

        def running(create: Callable[[], Any]) -> Callable[[], Any]:
            return lambda: self.loop.run_until_complete(started(create))

        def near() -> Any:
            here, there = socket.socketpair()
            self.kept.append(there)
            return here

        def dgram() -> Any:
            here, there = socket.socketpair(type=socket.SOCK_DGRAM)
            self.kept.append(there)
            return here

        def online(create: Callable[[], Any], part: int) -> Callable[[], Any]:
            async def connect() -> Any:
                made = await create()
                return made[part] if isinstance(made, tuple) else made

            return lambda: self.loop.run_until_complete(connect())

        async def waits() -> None:
            await self.loop.create_future()

        found += [
            ("future", lambda: self.loop.create_future()), ("finished future", finished), ("watched future", watched),
            ("awaited future", lambda: self.loop.create_future().__await__()),
            ("task", lambda: cede.Task(coroutine(), loop=self.loop)), ("generator task", lambda: self.loop.create_task(generator())),
            ("waiting task", running(lambda: self.loop.create_task(waits()))),
            ("done task", running(lambda: cede.Task(coroutine(), loop=self.loop))),
            ("eager task", running(lambda: self.loop.create_task(coroutine(), eager_start=True))),
            ("handle", lambda: self.loop.call_soon(print)), ("timer", lambda: self.loop.call_later(0.001, print)),
            ("sleep", lambda: cede.sleep(0.001)), ("loop", lambda: self.loop), ("closed loop", self.closed_loop), ("runner", cede.Runner),
            ("transport", online(lambda: self.loop.create_connection(asyncio.Protocol, sock=near()), 0)),
            ("server", online(lambda: self.loop.create_server(asyncio.Protocol, "127.0.0.1", 0), 0)),
            ("datagrams", online(lambda: self.loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)), 0)),
            ("connected datagrams", online(lambda: self.loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=dgram()), 0)),
            ("read pipe", online(lambda: self.loop.connect_read_pipe(asyncio.Protocol, near()), 0)),
            ("write pipe", online(lambda: self.loop.connect_write_pipe(asyncio.Protocol, near()), 0)),
            *((f"unborn {cls.__name__}", lambda cls=cls: cls.__new__(cls)) for cls in TRANSPORTS),  # type: ignore[misc]
            ("reader", online(lambda: cede.open_connection(sock=near()), 0)),
            ("writer", online(lambda: cede.open_connection(sock=near()), 1)),
        ]  # fmt: skip
        return found

    def closed_loop(self) -> Any:
        loop = cede.new_event_loop()
        loop.close()
        return loop

    def round(self) -> None:
        self.loop = cede.new_event_loop()
        self.loop.set_exception_handler(lambda *_: None)
        self.makers = makers(self.loop, self.rng)
        victims = self.victims()
        self.rng.shuffle(victims)
        for what, make in victims:
            victim = self.attempt(f"make {what}", make)
            if victim is not None:
                self.torment(what, victim)
            del victim
            self.settle()
        for name in ("sleep", "create_task", "new_event_loop", "open_connection", "start_server"):
            self.call(f"cede.{name}", getattr(cede, name))
        self.settle()
        self.end()

    def settle(self) -> None:
        """Let the loop run what the junk has queued; start anew where the junk has closed it."""
        loop = self.loop
        if not loop.is_closed():

            def turn() -> None:
                loop.call_soon(loop.stop)
                loop.run_forever()

            for _ in range(3):
                self.attempt("turn", turn)
        asyncio._set_running_loop(None)
        if loop.is_closed():
            self.loop = cede.new_event_loop()
            self.loop.set_exception_handler(lambda *_: None)
            self.makers = makers(self.loop, self.rng)
        if self.rng.random() < 0.2:
            self.attempt("collect", gc.collect)

    def end(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            self.attempt("cancel", task.cancel)
        self.settle()
        self.attempt("close", self.loop.close)
        self.loop = None
        self.makers = []
        for thing in self.kept:
            thing.close()
        self.kept = []
        self.attempt("collect", gc.collect)


def main(seed: int, rounds: int, log: str) -> None:
    faulthandler.enable()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda *_: None
    threading.excepthook = lambda *_: None
    signal.signal(signal.SIGALRM, too_long)
    with tempfile.TemporaryDirectory() as scratch, open(log, "w") as sink, open(os.devnull, "w") as nowhere:
        os.chdir(scratch)
        sys.stdout = nowhere
        fuzzer = Fuzzer(seed, sink)
        for _ in range(rounds):
            fuzzer.round()
        os.chdir("/")
    # Nothing is said: the junk may have closed standard output. Threads that it has started are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
