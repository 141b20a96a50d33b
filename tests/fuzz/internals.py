"""``python -m tests.fuzz.internals SEED ROUNDS LOG``: as `calls`, for every compiled class of the package, whoever it is for.

What can be made bare is made bare, in each way that Python has; and what the runtime makes for itself, operations, entries, channels of the
driver, jobs, is called with junk, sent to, thrown into and closed, fresh and half way.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import inspect
import pkgutil
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import cede
from cede.runner.sealing import compiled_classes

from . import calls
from .junk import coroutine

# What blocks a thread, ends the process or begins another one.
LEFT_OUT = ("cede.cli", "cede.cluster", "cede.core.pure.turn", "cede.offload.worker")


def import_all() -> None:
    for module in pkgutil.walk_packages(cede.__path__, "cede."):
        if not module.name.startswith(LEFT_OUT):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if str(error.name).startswith("cede"):
                    raise
                # what a part of ours stands on is not installed, or there is none for this Python yet


def bare_ways(cls: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every way that Python has to an object of a class, but for its own arguments."""
    yield f"bare {cls.__name__}", cls
    yield f"new {cls.__name__}", lambda: cls.__new__(cls)
    for base in cls.__mro__[1:]:
        yield f"{base.__name__}'s {cls.__name__}", lambda base=base: base.__new__(cls)
    yield f"heir of {cls.__name__}", lambda: type("Heir", (cls,), {"__init__": lambda self: None})()
    yield f"reduced {cls.__name__}", lambda: copy._reconstruct(object(), None, copyreg_new, (cls,))  # type: ignore[attr-defined]


def copyreg_new(cls: Any) -> Any:
    return cls.__new__(cls)


class Internals(calls.Fuzzer):
    """Torments what nobody was meant to hold."""

    def victims(self) -> list[tuple[str, Callable[[], Any]]]:
        found: list[tuple[str, Callable[[], Any]]] = []
        for cls in compiled_classes():
            found += bare_ways(cls)
            found.append((f"junk {cls.__name__}", lambda cls=cls: self.call(cls.__name__, cls)))  # type: ignore[misc]
        return found + self.live() * 3

    def live(self) -> list[tuple[str, Callable[[], Any]]]:
        async def started(create: Callable[[], Any], send: bool) -> Any:
            thing = create()
            if inspect.isawaitable(thing) and inspect.iscoroutine(thing):
                thing = await thing
            if send and hasattr(thing, "send"):
                try:
                    thing.send(None)
                except StopIteration:
                    pass
            return thing

        def within(create: Callable[[], Any]) -> list[Callable[[], Any]]:
            return [
                lambda: self.loop.run_until_complete(started(create, False)),
                lambda: self.loop.run_until_complete(started(create, True)),
            ]

        def near() -> Any:
            here, there = socket.socketpair()
            here.setblocking(False)
            self.kept.append(there)
            return here

        async def reader() -> Any:
            return (await cede.open_connection(sock=near()))[0]

        async def writer() -> Any:
            return (await cede.open_connection(sock=near()))[1]

        def held_lock() -> Any:
            lock = cede.Lock()
            lock._locked = True
            return lock

        def full_queue() -> Any:
            queue: Any = cede.Queue(1)
            queue.put_nowait(1)
            return queue

        def of(make: Callable[[], Any], name: str, *args: Any) -> Callable[[], Any]:
            async def create() -> Any:
                owner = make()
                if inspect.iscoroutine(owner):
                    owner = await owner
                return Keeps(getattr(owner, name)(*args))

            return lambda: create()

        class Keeps:
            """An awaitable that must not be awaited by who hands it on."""

            def __init__(self, thing: Any) -> None:
                self.thing = thing

        def given(create: Callable[[], Any]) -> Callable[[], Any]:
            async def whole(send: bool) -> Any:
                thing = (await create()).thing
                if send and hasattr(thing, "send"):
                    try:
                        thing.send(None)
                    except StopIteration:
                        pass
                return thing

            return lambda: self.loop.run_until_complete(whole(self.rng.random() < 0.7))

        sender_and_receiver = cede.channel(1)
        waits = [
            of(reader, "read"), of(reader, "readexactly", 5), of(reader, "readline"), of(reader, "readuntil", b"x"),
            of(reader, "__anext__"),
            of(reader, "_wait_for_data", "name"), of(writer, "drain"), of(writer, "wait_closed"),
            of(held_lock, "acquire"), of(cede.Lock, "acquire"), of(lambda: cede.Semaphore(0), "acquire"), of(cede.Event, "wait"),
            of(lambda: cede.Barrier(2), "wait"), of(cede.Queue, "get"), of(full_queue, "put", 1), of(full_queue, "join"),
            of(lambda: sender_and_receiver[0], "send", 1), of(lambda: sender_and_receiver[1], "receive"),
            of(lambda: sender_and_receiver[1], "receive_many"), of(lambda: sender_and_receiver[1], "__anext__"),
            of(lambda: cede.thread_channel(1), "send", 1), of(lambda: cede.thread_channel(1), "receive"),
            of(lambda: cede, "sleep", 0.01), of(lambda: cede, "sleep", 0), of(lambda: cede, "wait_for", None, 1),
            of(lambda: cede, "wait_for", coroutine(), 1), of(lambda: cede, "timeout", 1), of(lambda: cede.timeout(1), "__aenter__"),
            of(lambda: cede.TaskGroup(), "__aenter__"), of(lambda: cede.TaskGroup(), "__aexit__", None, None, None),
            of(lambda: cede, "move_on_after", 1), of(lambda: cede, "fail_after", 1),
            of(lambda: self.loop, "sock_recv", near(), 10), of(lambda: self.loop, "sock_recv_into", near(), bytearray(10)),
            of(lambda: self.loop, "sock_sendall", near(), bytes(10_000_000)), of(lambda: self.loop, "sock_accept", near()),
            of(lambda: self.loop, "sock_connect", near(), ("127.0.0.1", 1)), of(lambda: self.loop, "create_future"),
            of(lambda: cede.gather(self.loop.create_future()), "__await__"),  # asyncio's own, closed and sent to, is a SystemError
        ]  # fmt: skip
        found: list[tuple[str, Callable[[], Any]]] = [(f"wait {index}", given(create)) for index, create in enumerate(waits)]
        # The first four are nothing that Python can reach.
        for name in ("_ready", "_timers", "_inbox", "spares", "driver"):
            found.append((f"loop.{name}", lambda name=name: getattr(self.loop, name)))  # type: ignore[misc]

        def channels() -> Any:
            self.loop.add_reader(near(), print)
            self.loop.run_until_complete(reader())
            return self.rng.choice(list(self.loop.driver.channels.values()))

        found.append(("channel", channels))
        found.append(("line", lambda: self.loop.run_until_complete(line())))
        found.append(("stackful", lambda: importlib.import_module("cede.stackful").run_sync(print, 1)))

        async def line() -> Any:
            lock = held_lock()
            waiting = asyncio.ensure_future(lock.acquire())
            await asyncio.sleep(0)
            waiting.cancel()
            return lock._waiters

        return found


def main(seed: int, rounds: int, log: str) -> None:
    import_all()
    calls.Fuzzer = Internals  # type: ignore[misc]
    calls.main(seed, rounds, log)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
