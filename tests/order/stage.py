"""Where scenes are played: a loop, a log and sockets. A scene is a function that `scene` enters; what it logs is the order of things."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from tests.support.driver_worlds import World


class Stage:
    """A loop, a log, and sockets that are closed at the end."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.log: list[Any] = []
        self.socks: list[socket.socket] = []
        self.turn = 0

    def pair(self) -> tuple[socket.socket, socket.socket]:
        near, far = socket.socketpair()
        for sock in (near, far):
            sock.setblocking(False)
            self.socks.append(sock)
        return near, far

    def note(self, what: Any) -> None:
        """With the turn, where turns are counted."""
        self.log.append((self.turn, what) if self.turn else what)

    def count_turns(self, count: int) -> None:
        """Number the turns from now on, `count` of them, and then stop the loop."""
        self.turn += 1
        if count:
            self.loop.call_soon(self.count_turns, count - 1)
        else:
            self.loop.stop()

    def read(self, sock: socket.socket, name: str) -> None:
        """A reader that takes one message."""
        try:
            self.note((name, sock.recv(100)))
        except BlockingIOError:
            self.note((name, "for nothing"))

    def woken(self, name: str) -> asyncio.Future[None]:
        """A future, and a task that waits for it and then says so."""
        future: asyncio.Future[None] = self.loop.create_future()

        async def wait() -> None:
            await future
            self.note(name)

        task = self.loop.create_task(wait())
        self.log.append(task)
        return future

    def chain(self, name: str, links: int = 4, last: Callable[[], Any] | None = None) -> None:
        """So many callbacks, one a turn, each of which has the next one called."""

        def link(number: int) -> None:
            self.note(f"{name}, {number}")
            if number < links:
                self.loop.call_soon(link, number + 1)
            elif last is not None:
                last()

        self.loop.call_soon(link, 1)

    def run(self, turns: int = 0) -> None:
        if turns:
            self.loop.call_soon(self.count_turns, turns)
        self.loop.run_forever()

    def close(self) -> list[Any]:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        for sock in self.socks:
            sock.close()
        return [entry for entry in self.log if not isinstance(entry, asyncio.Task)]


SCENES: dict[str, Callable[[Stage], None]] = {}


def scene(function: Callable[[Stage], None]) -> Callable[[Stage], None]:
    SCENES[function.__name__] = function
    return function


def play(world: World, function: Callable[[Stage], None]) -> list[Any]:
    stage = Stage(world.new_loop())
    reports: list[Any] = []
    stage.loop.set_exception_handler(lambda _, context: reports.append(context))
    try:
        function(stage)
    finally:
        log = stage.close()
    assert not reports, reports
    return log


class Told(asyncio.Protocol):
    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.name = name

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.stage.note((self.name, "made"))

    def data_received(self, data: bytes) -> None:
        self.stage.note((self.name, data))
        self.stage.loop.call_soon(self.stage.note, (self.name, "woken"))

    def eof_received(self) -> None:
        self.stage.note((self.name, "eof"))

    def connection_lost(self, error: Exception | None) -> None:
        self.stage.note((self.name, "lost", error))
