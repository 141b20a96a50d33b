"""A connection that is over is gone: no cycle holds its transport, protocol and streams until the collector comes by.

The collector is off, and weak references tell what still lives. A server with many short connections would otherwise hold thousands.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import cede
from cede.loop.config import driver_names, make_driver
from tests.support.certificates import client_context, server_context

COUNT = 5


class Watched:
    """Weak references to everything that made up the connections."""

    def __init__(self) -> None:
        self.seen: dict[str, list[weakref.ref[Any]]] = {}

    def add(self, **objects: Any) -> None:
        for name, thing in objects.items():
            self.seen.setdefault(name, []).append(weakref.ref(thing))

    def alive(self) -> dict[str, int]:
        return {name: count for name, refs in self.seen.items() if (count := sum(ref() is not None for ref in refs))}


class Protocol(asyncio.Protocol):
    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: Any = None
        watched.add(protocol=self)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.watched.add(transport=transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data.upper())

    def connection_lost(self, error: BaseException | None) -> None:
        self.lost.set_result(None)


class Datagrams(Protocol, asyncio.DatagramProtocol):
    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.close()


class Child(Protocol, asyncio.SubprocessProtocol):
    def process_exited(self) -> None:
        pass


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def by_protocols(watched: Watched, **options: Any) -> None:
    loop = asyncio.get_running_loop()
    tls: dict[str, Any] = {"ssl": server_context()} if options else {}
    server = await loop.create_server(lambda: Protocol(watched), "127.0.0.1", 0, **tls)
    for _ in range(COUNT):
        transport, protocol = await loop.create_connection(lambda: Protocol(watched), *server.sockets[0].getsockname(), **options)
        transport.write(b"hello")
        transport.close()
        await protocol.lost
    await over(server)


async def over(server: Any) -> None:
    while server.statistics().connections:
        await asyncio.sleep(0.001)
    server.close()


async def protocols(watched: Watched) -> None:
    await by_protocols(watched)


async def protocols_over_tls(watched: Watched) -> None:
    await by_protocols(watched, ssl=client_context(), server_hostname="localhost")


async def aborted_over_tls(watched: Watched) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Protocol(watched), "127.0.0.1", 0, ssl=server_context())
    for _ in range(COUNT):
        address = server.sockets[0].getsockname()
        transport, protocol = await loop.create_connection(
            lambda: Protocol(watched), *address, ssl=client_context(), server_hostname="localhost"
        )
        transport.write(b"hello")
        transport.abort()
        await protocol.lost
    await over(server)


async def refused_handshakes(watched: Watched) -> None:
    """Each side's transport of a connection that never came about."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Protocol(watched), "127.0.0.1", 0, ssl=server_context())
    loop.set_exception_handler(lambda loop, context: None)
    for _ in range(COUNT):
        address = server.sockets[0].getsockname()
        try:
            await loop.create_connection(lambda: Protocol(watched), *address, ssl=client_context(), server_hostname="elsewhere")
        except OSError as error:
            del error
        else:
            pytest.fail("the handshake was not refused")
    await over(server)


async def by_streams(watched: Watched, **options: Any) -> None:
    async def serve(reader: Any, writer: Any) -> None:
        watched.add(server_reader=reader, server_writer=writer, server_transport=writer.transport)
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await cede.start_server(serve, "127.0.0.1", 0, **({"ssl": server_context()} if options else {}))
    for _ in range(COUNT):
        reader, writer = await cede.open_connection(*server.sockets[0].getsockname(), **options)
        watched.add(reader=reader, writer=writer, client_transport=writer.transport)
        writer.write(b"hello\n")
        assert await reader.read() == b"hello\n"
        writer.close()
        await writer.wait_closed()
    del reader, writer
    await over(server)


async def streams(watched: Watched) -> None:
    await by_streams(watched)


async def streams_over_tls(watched: Watched) -> None:
    await by_streams(watched, ssl=client_context(), server_hostname="localhost")


async def upgraded(watched: Watched) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(COUNT):
        left, right = socket.socketpair()
        (one, first), (other, second) = [await loop.create_connection(lambda: Protocol(watched), sock=sock) for sock in (left, right)]
        del left, right
        first.transport, second.transport = await asyncio.gather(
            loop.start_tls(one, first, client_context(), server_hostname="localhost"),
            loop.start_tls(other, second, server_context(), server_side=True),
        )
        watched.add(upgraded=first.transport, upgraded_too=second.transport)
        first.transport.write(b"hello")
        first.transport.close()
        await first.lost
        await second.lost


async def resets(watched: Watched) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(COUNT):
        left, right = socket.socketpair()
        transport, protocol = await loop.create_connection(lambda: Protocol(watched), sock=left)
        transport.write(b"x" * 1_000_000)
        right.close()
        await protocol.lost
        del left, right


async def datagrams(watched: Watched) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(COUNT):
        transport, protocol = await loop.create_datagram_endpoint(lambda: Datagrams(watched), local_addr=("127.0.0.1", 0))
        transport.sendto(b"to myself", transport.get_extra_info("sockname"))
        await protocol.lost


async def pipes(watched: Watched) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(COUNT):
        ends = [os.fdopen(number, mode, 0) for number, mode in zip(os.pipe(), ("rb", "wb"), strict=True)]
        _, one = await loop.connect_read_pipe(lambda: Protocol(watched), ends[0])
        writing, other = await loop.connect_write_pipe(lambda: Protocol(watched), ends[1])
        watched.add(pipe=ends[0], other_pipe=ends[1])
        writing.close()
        await other.lost
        await one.lost
        del ends


async def children(watched: Watched) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(2):
        transport, protocol = await loop.subprocess_exec(lambda: Child(watched), sys.executable, "-S", "-c", "print('hello')")
        await protocol.lost
        transport.close()
        del transport, protocol
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-c", "print(input())", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        # Not its streams: those are asyncio's own, and know each other by their protocol.
        watched.add(process_transport=process._transport)  # type: ignore[attr-defined]
        assert (await process.communicate(b"hello\n"))[0] == b"hello\n"


CASES: list[Callable[[Watched], Coroutine[Any, Any, None]]] = [
    protocols, protocols_over_tls, aborted_over_tls, refused_handshakes, streams, streams_over_tls, upgraded, resets, datagrams, pipes,
    children,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("driver", driver_names())
def test_nothing_of_a_closed_connection_is_alive(driver: str, case: Callable[[Watched], Coroutine[Any, Any, None]]) -> None:
    watched = Watched()
    found: dict[str, int] = {}

    async def main() -> None:
        await asyncio.create_task(case(watched))  # its frame goes with it
        for _ in range(5):
            await asyncio.sleep(0)
        found.update(watched.alive())

    loop = cede.EventLoop(make_driver(driver))
    try:
        with without_collector():
            loop.run_until_complete(main())
    finally:
        loop.close()
    assert watched.seen, "nothing was looked at"
    assert all(len(refs) >= 2 for refs in watched.seen.values())
    assert found == {}


def test_a_cycle_would_be_seen() -> None:
    async def case(watched: Watched) -> None:
        reader, writer = asyncio.StreamReader(), asyncio.StreamReader()
        reader.other, writer.other = writer, reader  # type: ignore[attr-defined]
        watched.add(reader=reader)

    watched = Watched()
    with without_collector(), asyncio.Runner() as runner:
        runner.run(case(watched))
        assert watched.alive() == {"reader": 1}
