"""A server's protocol and clients for tests."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.loops import is_cede

# asyncio's wait_closed waits for connections since 3.12.1 (ours since 3.12), and close_clients is new in 3.13 (ours has it everywhere).
OLD_ORACLE = sys.version_info < (3, 13)


def skip_old_oracle(loop: asyncio.AbstractEventLoop) -> None:
    if OLD_ORACLE and not is_cede(loop):
        pytest.skip("asyncio learned this in a later Python")


class Echo(asyncio.Protocol):
    """Sends back what it gets, and says when its connection came and went."""

    def __init__(self, log: list[Any] | None = None) -> None:
        self.log = log if log is not None else []
        self.transport: Any = None
        self.lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.log.append(self)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


@contextlib.asynccontextmanager
async def client_of(server: Any, index: int = 0) -> AsyncIterator[tuple[Any, Any]]:
    reader, writer = await asyncio.open_connection(*server.sockets[index].getsockname()[:2])
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def talk(server: Any, index: int = 0) -> None:
    async with client_of(server, index) as (reader, writer):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
