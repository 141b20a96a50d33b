"""Writers, servers and connections: the same tests on asyncio's streams and on cede's."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
import warnings
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.stream_worlds import WORLDS, FakeTransport, World, turns

pytestmark = pytest.mark.parametrize("world", WORLDS, ids=repr)


@contextlib.asynccontextmanager
async def connected(world: World, handler: Any, **options: Any) -> AsyncIterator[tuple[Any, Any]]:
    """A server that runs `handler`, and a connection to it."""
    server = await world.module.start_server(handler, "127.0.0.1", 0, **options)
    host, port = server.sockets[0].getsockname()
    reader, writer = await world.module.open_connection(host, port, **options)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        server.close()
        await server.wait_closed()


async def echo(reader: Any, writer: Any) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


def test_echo(world: World) -> None:
    async def main() -> None:
        async with connected(world, echo) as (reader, writer):
            assert not writer.is_closing()
            assert writer.can_write_eof()
            assert writer.get_extra_info("peername")[0] == "127.0.0.1"
            assert writer.get_extra_info("nonsense", 5) == 5
            assert writer.transport.get_protocol() is not None
            assert repr(writer).startswith("<StreamWriter transport=<")
            assert " reader=<StreamReader" in repr(writer)
            writer.write(b"hello\n")
            await writer.drain()
            assert await reader.readline() == b"hello\n"
            writer.writelines([b"a", bytearray(b"b"), memoryview(b"c")])
            assert await reader.readexactly(3) == b"abc"
            writer.write_eof()
            assert await reader.read() == b""
            assert reader.at_eof()
        assert writer.is_closing()

    world.run(main)


def test_echo_over_a_unix_socket(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "socket")
        server = await world.module.start_unix_server(echo, path)
        reader, writer = await world.module.open_unix_connection(path)
        writer.write(b"hello\n")
        writer.write_eof()
        assert await reader.read() == b"hello\n"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    world.run(main)


def test_a_lot_of_data_both_ways(world: World, rng: Any) -> None:
    """More than all buffers hold, with a small limit: flow control has to stop and start both directions."""
    data = rng.randbytes(3_000_000)

    async def main() -> None:
        async with connected(world, echo, limit=1000) as (reader, writer):

            async def send() -> None:
                position = 0
                while position < len(data):
                    size = rng.randrange(1, 100_000)
                    writer.write(data[position : position + size])
                    position += size
                    await writer.drain()

            sending = asyncio.ensure_future(send())
            got = bytearray()
            while len(got) < len(data):
                got += await reader.readexactly(min(len(data) - len(got), rng.randrange(1, 200_000)))
            await sending
            assert got == data

    world.run(main)


def test_drain_waits_while_the_transport_is_full(world: World) -> None:
    async def main() -> None:
        _, writer, protocol = world.connected_writer(FakeTransport())
        await writer.drain()
        protocol.pause_writing()
        tasks = [asyncio.ensure_future(writer.drain()) for _ in range(3)]
        await turns(3)
        assert not any(task.done() for task in tasks)
        protocol.resume_writing()
        await asyncio.gather(*tasks)
        with pytest.raises(AssertionError):
            protocol.resume_writing()
        writer.close()

    world.run(main)


@pytest.mark.parametrize("error", [None, OSError("cut")])
def test_drain_when_the_connection_is_lost(world: World, error: Any) -> None:
    async def main() -> None:
        _, writer, protocol = world.connected_writer(FakeTransport())
        protocol.pause_writing()
        task = asyncio.ensure_future(writer.drain())
        await turns(2)
        writer.close()
        protocol.connection_lost(error)
        if error is None:
            await task
        else:
            with pytest.raises(OSError, match="cut"):
                await task
        # Later ones are told as well: by the reader's exception, or that the connection was lost.
        with pytest.raises(OSError, match="Connection lost" if error is None else "cut"):
            await writer.drain()

    world.run(main)


def test_drain_gives_way_when_the_connection_is_closing(world: World) -> None:
    async def main() -> None:
        ran: list[int] = []
        _, writer, _ = world.connected_writer(FakeTransport())
        asyncio.get_running_loop().call_soon(ran.append, 1)
        await writer.drain()
        assert not ran
        writer.close()
        await writer.drain()
        assert ran

    world.run(main)


def test_wait_closed_tells_how_it_ended(world: World) -> None:
    """cpython 83939: wait_closed of servers and writers."""

    async def main() -> None:
        _, writer, protocol = world.connected_writer(FakeTransport())
        waiting = asyncio.ensure_future(writer.wait_closed())
        await turns(2)
        assert not waiting.done()
        writer.close()
        protocol.connection_lost(OSError("cut"))
        for attempt in (waiting, writer.wait_closed(), writer.wait_closed()):
            with pytest.raises(OSError, match="cut"):
                await attempt

    world.run(main)


def test_the_protocol_passes_on_what_it_is_told(world: World) -> None:
    async def main() -> None:
        reader, writer, protocol = world.connected_writer(FakeTransport())
        protocol.data_received(b"some")
        assert protocol.eof_received() is True
        assert reader.at_eof() is False
        writer.close()
        protocol.connection_lost(None)
        assert await reader.read() == b"some"
        protocol.data_received(b"late")
        protocol.eof_received()
        assert await reader.read() == b""

        class OverTLS(FakeTransport):
            def get_extra_info(self, name: str, default: Any = None) -> Any:
                return "context" if name == "sslcontext" else default

        _, writer, protocol = world.connected_writer(OverTLS())
        assert protocol.eof_received() is False
        writer.close()

    world.run(main)


class Reports:
    """Collects what the loop's exception handler is told."""

    def __init__(self) -> None:
        self.contexts: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.contexts.append(context))


def test_a_handler_that_fails_is_reported_and_its_connection_closed(world: World) -> None:
    async def main() -> None:
        async def handler(reader: Any, writer: Any) -> None:
            await reader.readline()
            raise ZeroDivisionError("handler")

        reports = Reports()
        async with connected(world, handler) as (reader, writer):
            writer.write(b"\n")
            assert await reader.read() == b""
        (context,) = reports.contexts
        assert context["message"] == "Unhandled exception in client_connected_cb"
        assert isinstance(context["exception"], ZeroDivisionError)
        assert context["transport"].is_closing()

    world.run(main)


def test_a_handler_that_is_cancelled_is_not_reported(world: World) -> None:
    if sys.version_info < (3, 13) and not world.ours:
        pytest.skip("fixed in asyncio of Python 3.13")

    async def main() -> None:
        async def handler(reader: Any, writer: Any) -> None:
            task: Any = asyncio.current_task()
            task.cancel()
            await reader.readline()

        reports = Reports()
        async with connected(world, handler) as (reader, _):
            assert await reader.read() == b""
        assert reports.contexts == []

    world.run(main)


def test_a_handler_that_is_a_plain_function(world: World) -> None:
    async def main() -> None:
        def handler(reader: Any, writer: Any) -> None:
            writer.write(b"bye")
            writer.close()

        async with connected(world, handler) as (reader, _):
            assert await reader.read() == b"bye"

    world.run(main)


def test_a_plain_function_that_fails(world: World) -> None:
    if sys.version_info[:2] != (3, 14) and not world.ours:
        pytest.skip("asyncio closes the connection in Python 3.14, but neither before nor after")

    async def main() -> None:
        def handler(reader: Any, writer: Any) -> None:
            raise ZeroDivisionError("handler")

        reports = Reports()
        async with connected(world, handler) as (reader, _):
            assert await reader.read() == b""
        assert [context["message"] for context in reports.contexts] == ["Unhandled exception in client_connected_cb"]

    world.run(main)


def test_a_handler_outlives_its_connection(world: World) -> None:
    if not world.ours:
        pytest.skip("asyncio keeps the task only as long as the connection")

    async def main() -> None:
        ended = asyncio.Event()
        waited_for: list[weakref.ref[Any]] = []

        async def handler(reader: Any, writer: Any) -> None:
            await reader.read()
            # Nothing but this task refers to what it waits for.
            future = asyncio.get_running_loop().create_future()
            waited_for.append(weakref.ref(future))
            writer.close()
            await writer.wait_closed()
            asyncio.get_running_loop().call_soon(gc.collect)
            asyncio.get_running_loop().call_soon(finish)
            await future
            ended.set()

        def finish() -> None:
            future = waited_for[0]()
            assert future is not None
            future.set_result(None)

        async with connected(world, handler) as (_, writer):
            writer.write_eof()
            await asyncio.wait_for(ended.wait(), 60)

    world.run(main)


def test_a_forgotten_connection_is_closed_with_a_warning(world: World) -> None:
    if sys.version_info < (3, 13) and not world.ours:
        pytest.skip("asyncio warns from Python 3.13 on")

    async def main() -> None:
        transport = FakeTransport()
        _, writer, _ = world.connected_writer(transport)
        with pytest.warns(ResourceWarning, match="unclosed <StreamWriter transport=<FakeTransport>"):
            del writer
            gc.collect()
        assert transport.calls == ["close"]
        _, writer, _ = world.connected_writer(transport)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del writer
            gc.collect()

    world.run(main)


def test_a_peer_that_resets(world: World) -> None:
    async def main() -> None:
        seen: list[BaseException] = []
        done = asyncio.Event()

        async def handler(reader: Any, writer: Any) -> None:
            try:
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()
            except OSError as error:
                seen.append(error)
            finally:
                writer.close()
                done.set()

        server = await world.module.start_server(handler, "127.0.0.1", 0)
        sock = socket.create_connection(server.sockets[0].getsockname())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await turns(3)
        sock.close()
        await asyncio.wait_for(done.wait(), 60)
        assert isinstance(seen[0], ConnectionError)
        server.close()
        await server.wait_closed()

    world.run(main)


def test_debug_mode(world: World) -> None:
    async def main() -> None:
        async with connected(world, echo) as (reader, writer):
            assert reader._source_traceback
            writer.write(b"hello\n")
            await writer.drain()
            assert await reader.readline() == b"hello\n"

    world.run(main, debug=True)


@pytest.mark.parametrize("early", [False, True], ids=["", "the-hello-came-early"])
def test_an_upgrade_to_tls(world: World, early: bool) -> None:
    utils = pytest.importorskip("test.test_asyncio.utils", reason="this Python comes without its tests, and their keys")
    if early and sys.version_info < (3, 14) and "asyncio" in world.name:
        pytest.skip("fixed in asyncio of Python 3.14")

    async def handler(reader: Any, writer: Any) -> None:
        if early:
            await reader._wait_for_data("handler")
        await writer.start_tls(utils.simple_server_sslcontext())
        assert writer.get_extra_info("sslcontext") is not None
        assert not writer.can_write_eof()
        await echo(reader, writer)

    async def main() -> None:
        reports = Reports()
        async with connected(world, handler) as (reader, writer):
            await asyncio.wait_for(writer.start_tls(utils.simple_client_sslcontext()), 60)
            assert reader._transport is writer.transport or not world.ours
            writer.write(b"secret" * 50_000)
            await writer.drain()
            assert await reader.readexactly(300_000) == b"secret" * 50_000
        assert reports.contexts == []

    world.run(main)
