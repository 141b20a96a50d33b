"""What the TLS rows do, both ends on one loop. Each body performs `n` operations and returns the seconds they took."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

from benchmarks.certificate import contexts
from benchmarks.clocks import active
from benchmarks.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from benchmarks.task_rows import Bench

BLOCK = 64 * 1024
REQUEST = 1024

both = functools.cache(contexts)


async def serve(b: Bench, handler: Callable[[Any, Any], Coroutine[Any, Any, None]]) -> tuple[Any, int]:
    """A TLS server over streams, and its port."""
    server = await b.streams.start_server(handler, "127.0.0.1", 0, ssl=both()[0], backlog=1024)
    return server, server.sockets[0].getsockname()[1]


async def connect(b: Bench, port: int) -> tuple[Any, Any]:
    """A client's end."""
    return await b.streams.open_connection("127.0.0.1", port, ssl=both()[1], server_hostname="localhost")


async def finish(server: Any, writer: asyncio.StreamWriter | None = None) -> None:
    """Close what a body has opened."""
    if writer is not None:
        writer.close()
        await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def stream(b: Bench, n: int) -> float:
    """One way, 64 KiB a write, ``drain`` after each; the time ends when the last byte has arrived."""
    arrived: asyncio.Future[float] = b.loop.create_future()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = n * BLOCK
        while left > 0:
            data = await reader.read(BLOCK)
            if not data:
                raise RuntimeError(f"the connection ended {left} bytes too early")
            left -= len(data)
        arrived.set_result(active())
        await reader.read()
        writer.close()

    server, port = await serve(b, take)
    _, writer = await connect(b, port)
    block = bytes(BLOCK)
    start = active()
    for _ in range(n):
        writer.write(block)
        await writer.drain()
    took = await arrived - start
    await finish(server, writer)
    return took


async def requests(b: Bench, n: int) -> float:
    """1 KiB there and back on one connection, again and again."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(BLOCK):
            writer.write(data)
            await writer.drain()
        writer.close()

    server, port = await serve(b, echo)
    reader, writer = await connect(b, port)
    message = bytes(range(256)) * (REQUEST // 256)
    start = active()
    for _ in range(n):
        writer.write(message)
        if await reader.readexactly(REQUEST) != message:
            raise RuntimeError("the echo differs")
    took = active() - start
    await finish(server, writer)
    return took


async def handshake(b: Bench, n: int) -> float:
    """Connect, a full handshake, close, and wait until it is closed."""

    async def see_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server, port = await serve(b, see_off)
    start = active()
    for _ in range(n):
        _, writer = await connect(b, port)
        writer.close()
        await writer.wait_closed()
    took = active() - start
    await finish(server)
    return took




WORK: dict[str, Work] = {
    "tls.stream": Work(stream, least=50, size=BLOCK),
    "tls.requests": Work(requests, least=100),
    "tls.handshake": Work(handshake, least=5),
}
