"""Where transports and socket operations are tested: on each driver that this install has, and on asyncio as the oracle."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Callable, Iterator
from typing import Any

from cede.loop.config import driver_names, make_driver
from cede.loop.event_loop import EventLoop


class World:
    """A kind of loop."""

    def __init__(self, name: str, new_loop: Callable[[], Any]) -> None:
        self.name = name
        self.ours = name != "asyncio"
        self.new_loop = new_loop

    def __repr__(self) -> str:
        return self.name

    def run(self, main: Callable[[], Any], *, debug: bool = False) -> Any:
        """Run ``main()`` to its end; an error that nobody expected and the loop was told of fails the test."""
        reports: list[Any] = []

        async def watched() -> Any:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
            return await main()

        with asyncio.Runner(loop_factory=self.new_loop, debug=debug) as runner:
            result = runner.run(watched())
        assert not reports, reports
        return result


def on_driver(name: str) -> World:
    return World(name, lambda: EventLoop(make_driver(name)))


OURS = [on_driver(name) for name in driver_names()]
WORLDS = [*OURS, World("asyncio", asyncio.SelectorEventLoop)]


class Notes(asyncio.Protocol):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.transport: Any = None
        self.data = bytearray()
        self.lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.keep_open = False
        self.paused = asyncio.Event()
        self.may_write = asyncio.Event()
        self.may_write.set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.data += data
        if self.told[-1] != "data":
            self.told.append("data")

    def eof_received(self) -> bool:
        self.told.append("eof")
        if not self.ended.done():
            self.ended.set_result(None)
        return self.keep_open

    def pause_writing(self) -> None:
        self.told.append("pause")
        self.paused.set()
        self.may_write.clear()

    def resume_writing(self) -> None:
        self.told.append("resume")
        self.may_write.set()

    def connection_lost(self, error: BaseException | None) -> None:
        self.told.append("lost")
        self.lost.set_result(error)


async def connect(protocol: Any, *, buffer: int | None = None) -> tuple[Any, socket.socket]:
    """A transport for `protocol`, and the other end as a plain non-blocking socket; `buffer`: bytes of the send buffer."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    if buffer is not None:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, near)
    return transport, far


async def connect_tcp(protocol: Any) -> tuple[Any, socket.socket]:
    """The same over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    near.setblocking(False)
    far.setblocking(False)
    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, near)
    return transport, far


def reset(sock: socket.socket) -> None:
    """Close a TCP socket so that its peer gets a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


async def read_all(sock: socket.socket) -> bytes:
    """Everything up to the end of the stream, by a loop of readiness callbacks; closes the socket."""
    loop = asyncio.get_running_loop()
    received = bytearray()
    with sock:
        while block := await loop.sock_recv(sock, 1 << 16):
            received += block
    return bytes(received)


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@contextlib.contextmanager
def reports() -> Iterator[list[dict[str, Any]]]:
    """What the running loop's exception handler is told meanwhile."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    told: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: told.append(context))
    try:
        yield told
    finally:
        gc.collect()
        loop.set_exception_handler(before)
