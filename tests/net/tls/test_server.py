"""TLS servers under limits, and at the end of a run."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

import cede
from tests.support.certificates import client_context, server_context

pytest.importorskip("ssl")

NEVER = 1000


async def echo(reader: Any, writer: Any) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def connect(server: Any) -> tuple[Any, Any]:
    return await cede.open_connection(*server.sockets[0].getsockname(), ssl=client_context(), server_hostname="localhost")


async def closed(*writers: Any) -> None:
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def test_the_number_of_connections_counts_handshakes_too() -> None:
    async def main() -> None:
        server = await cede.start_server(echo, "127.0.0.1", 0, ssl=server_context(), max_connections=2)
        _, silent = await cede.open_connection(*server.sockets[0].getsockname())  # says no hello
        reader, writer = await connect(server)
        writer.write(b"first")
        assert await reader.readexactly(5) == b"first"
        await until(lambda: server.statistics().accept_paused)
        waiting = asyncio.create_task(connect(server))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert server.statistics().connections == 2
        await closed(silent)
        late_reader, late_writer = await waiting
        late_writer.write(b"second")
        assert await late_reader.readexactly(6) == b"second"
        seen = server.statistics()
        assert (seen.connections, seen.peak, seen.accepted, seen.failed) == (2, 2, 3, 1)
        await closed(writer, late_writer)
        await until(lambda: server.statistics().connections == 0)
        server.close()
        await server.wait_closed()

    cede.run(main())


def test_a_peer_without_a_hello_is_cut_off_and_others_do_not_notice() -> None:
    async def main() -> None:
        server = await cede.start_server(echo, "127.0.0.1", 0, ssl=server_context(), first_byte_timeout=0.1)
        reader, writer = await connect(server)
        silent_reader, silent = await cede.open_connection(*server.sockets[0].getsockname())
        with contextlib.suppress(ConnectionError):
            assert await silent_reader.read() == b""
        assert (server.statistics().silent, server.statistics().connections) == (1, 1)
        writer.write(b"still there")
        assert await reader.readexactly(11) == b"still there"
        await closed(silent, writer)
        server.close()
        await server.wait_closed()

    cede.run(main())


@pytest.mark.parametrize("hello", [b"\x16", b"\x16\x03\x01\x02\x00\x01"], ids=["a byte", "half a hello"])
def test_a_handshake_that_does_not_end_has_a_deadline(hello: bytes) -> None:
    async def main() -> None:
        server = await cede.start_server(
            echo, "127.0.0.1", 0, ssl=server_context(), ssl_handshake_timeout=0.1, first_byte_timeout=NEVER, min_read_rate=1
        )
        reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
        writer.write(hello)
        with contextlib.suppress(ConnectionError):
            while await reader.read(1000):
                pass
        await until(lambda: server.statistics().connections == 0)
        assert (server.statistics().failed, server.statistics().silent, server.statistics().slow) == (1, 0, 0)
        await closed(writer)
        server.close()
        await server.wait_closed()

    cede.run(main())


@pytest.mark.parametrize("shaking", [True, False], ids=["in the handshake", "after it"])
def test_a_byte_per_second_peer_is_cut_off(shaking: bool) -> None:
    async def main() -> None:
        server = await cede.start_server(lines, "127.0.0.1", 0, ssl=server_context(), min_read_rate=10_000, read_rate_window=0.1)
        quick_reader, quick_writer = await connect(server)
        if shaking:
            slow_reader, slow_writer = await cede.open_connection(*server.sockets[0].getsockname())
            pieces = [b"\x16", b"\x03", b"\x01", b"\x02", b"\x00"] + [b"\x00"] * 512
        else:
            slow_reader, slow_writer = await connect(server)
            pieces = [b"x"] * NEVER
        cut = asyncio.create_task(slow_reader.read())
        answered = 0
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                if cut.done():
                    break
                slow_writer.write(piece)
                quick_writer.write(b"y" * 200 + b"\n")
                assert await quick_reader.readline() == b"y" * 200 + b"\n"
                answered += 1
                await asyncio.sleep(0.01)
        with contextlib.suppress(ConnectionError):
            await cut
        assert server.statistics().slow == 1
        assert answered > 3
        quick_writer.write(b"still served\n")
        assert await quick_reader.readline() == b"still served\n"
        await closed(slow_writer, quick_writer)
        server.close()
        await server.wait_closed()

    cede.run(main())


async def lines(reader: Any, writer: Any) -> None:
    with contextlib.suppress(ConnectionError):
        while line := await reader.readline():
            writer.write(line)
    writer.close()


def test_a_run_that_ends_says_goodbye_and_lets_work_finish() -> None:
    """The phases of `cede.run(grace=)`, over TLS: an idle connection is closed with close_notify, one at work has its answer first."""
    order: list[str] = []

    async def main() -> Any:
        working, release = asyncio.Event(), asyncio.Event()

        async def handle(reader: Any, writer: Any) -> None:
            while line := await reader.readline():
                if line == b"work\n":
                    working.set()
                    await release.wait()
                writer.write(line)
            writer.close()

        server = await cede.start_server(handle, "127.0.0.1", 0, ssl=server_context())
        idle, busy = [await connect(server) for _ in range(2)]
        idle[1].write(b"hello\n")
        assert await idle[0].readline() == b"hello\n"
        busy[1].write(b"work\n")
        await working.wait()

        async def outside() -> None:
            assert await idle[0].read() == b""
            assert idle[1].get_extra_info("close_notify")
            order.append("idle")
            release.set()
            assert await busy[0].readline() == b"work\n"
            assert await busy[0].read() == b""
            assert busy[1].get_extra_info("close_notify")
            order.append("busy")
            await closed(idle[1], busy[1])

        task = asyncio.create_task(outside())
        await asyncio.sleep(0)
        return task

    assert cede.run(main(), grace=60).exception() is None
    assert order == ["idle", "busy"]


def test_what_was_written_is_sent_before_a_run_ends() -> None:
    async def main() -> Any:
        received = bytearray()
        ended: list[BaseException | None] = []

        class Sink(asyncio.Protocol):
            transport: Any = None

            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def data_received(self, data: bytes) -> None:
                received.extend(data)

            def connection_lost(self, error: BaseException | None) -> None:
                ended.append(error)

        class Source(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                transport.write(bytes(1 << 22))

        loop = asyncio.get_running_loop()
        server = await loop.create_server(Source, "127.0.0.1", 0, ssl=server_context())
        await loop.create_connection(Sink, *server.sockets[0].getsockname(), ssl=client_context(), server_hostname="localhost")
        main.keep = server  # type: ignore[attr-defined]
        return received, ended

    received, ended = cede.run(main(), grace=60)
    assert len(received) == 1 << 22
    assert ended == [None]


def test_a_run_does_not_wait_for_a_peer_in_its_handshake() -> None:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        server = await cede.start_server(echo, "127.0.0.1", 0, ssl=server_context(), ssl_handshake_timeout=NEVER)
        reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
        await until(lambda: server.statistics().connections)

        async def outside() -> bytes:
            with contextlib.suppress(ConnectionError):
                return await reader.read()
            return b""

        main.keep = writer  # type: ignore[attr-defined]
        return loop.create_task(outside())

    cede.run(main(), grace=60)
