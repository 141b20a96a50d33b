"""Two protocols that talk over TLS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.support.certificates import client_context, server_context

ssl = pytest.importorskip("ssl")

Run = Callable[..., Any]


class Talk(asyncio.Protocol):
    """Remembers what it is told, in order."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport: Any = None
        self.told: list[str] = []
        self.data = b""
        self.changed = asyncio.Event()
        self.lost: asyncio.Future[BaseException | None] = loop.create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        if self.told[-1] != "data":
            self.told.append("data")
        self.data += data
        self.changed.set()

    def eof_received(self) -> None:
        self.told.append("eof")

    def pause_writing(self) -> None:
        self.told.append("pause")
        self.changed.set()

    def resume_writing(self) -> None:
        self.told.append("resume")
        self.changed.set()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.told.append("lost")
        self.lost.set_result(exc)
        self.changed.set()

    async def until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    async def has(self, count: int) -> bytes:
        await self.until(lambda: len(self.data) >= count)
        return self.data


class Echo(Talk):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)


@contextlib.asynccontextmanager
async def serving(factory: Callable[[], Any], **options: Any) -> AsyncIterator[Any]:
    """The address of a server."""
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def pair(
    server_factory: Callable[[], Any] = Echo,
    client_factory: Callable[[], Any] = Talk,
    server: Any = None,
    client: Any = None,
    server_hostname: str = "localhost",
    **options: Any,
) -> AsyncIterator[tuple[Any, Any]]:
    """The protocols of both ends of a connection: the client's and the server's."""
    accepted: list[Any] = []

    def accept() -> Any:
        accepted.append(server_factory())
        return accepted[-1]

    async with serving(accept, ssl=server or server_context()) as address:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(
            client_factory, *address, ssl=client or client_context(), server_hostname=server_hostname, **options
        )
        while accepted[0].transport is None:
            await asyncio.sleep(0)
        try:
            yield protocol, accepted[0]
        finally:
            transport.close()
            await protocol.lost
            await accepted[0].lost




class Lender(Talk, asyncio.BufferedProtocol):
    """Lends a buffer of a size that it chooses each time."""

    sizes = (1 << 16,)

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.buffer = bytearray()

    def get_buffer(self, sizehint: int) -> Any:
        size = self.sizes[self.asked % len(self.sizes)]
        self.asked += 1
        self.buffer = bytearray(size)
        # A slice of anything but a memoryview is a copy, and then asyncio loses data.
        return self.buffer if self.asked % 2 and "cede" in type(self.transport).__module__ else memoryview(self.buffer)

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= len(self.buffer)
        data = bytes(self.buffer[:nbytes])
        if "cede" in type(self.transport).__module__:
            self.buffer.clear()  # would fail, were it still lent, as it is by asyncio
        self.data_received(data)
