"""Limits of servers: how many peers, how soon they speak, how slowly they may go on; and what the server says of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest

import cede

NEVER = 1000


async def echo(reader: Any, writer: Any) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class Ears(asyncio.Protocol):
    """A plain protocol that remembers how each connection ended."""

    ends: list[BaseException | None]

    def __init__(self) -> None:
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, error: BaseException | None) -> None:
        type(self).ends.append(error)


@pytest.fixture
def ears() -> type[Ears]:
    return type("Ears", (Ears,), {"ends": []})


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_accepting_pauses_at_the_limit_and_goes_on_below_it() -> None:
    async def main() -> None:
        server = await cede.start_server(echo, "127.0.0.1", 0, max_connections=2)
        address = server.sockets[0].getsockname()
        talks = [await cede.open_connection(*address) for _ in range(5)]
        for number, (_reader, writer) in enumerate(talks):
            writer.write(b"%d" % number)
        for number in (0, 1):
            assert await talks[number][0].read(10) == b"%d" % number
        seen = server.statistics()
        assert (seen.connections, seen.peak, seen.accepted, seen.accept_paused, seen.accept_pauses) == (2, 2, 2, True, 1)
        # The others wait in the system's queue, and are served one by one as room is made.
        for number in (2, 3, 4):
            talks[number - 2][1].close()
            assert await talks[number][0].read(10) == b"%d" % number
            assert server.statistics().connections == 2
        for _reader, writer in talks:
            writer.close()
        await until(lambda: server.statistics().connections == 0)
        seen = server.statistics()
        assert (seen.peak, seen.accepted, seen.accept_paused) == (2, 5, False)
        server.close()
        await server.wait_closed()

    cede.run(main())


def test_a_full_server_can_be_closed_and_says_so() -> None:
    async def main() -> None:
        server = await cede.start_server(echo, "127.0.0.1", 0, max_connections=1)
        _reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
        await until(lambda: server.statistics().accept_paused)
        server.close()
        assert not server.statistics().accept_paused
        writer.close()
        await server.wait_closed()

    cede.run(main())


def test_several_sockets_share_one_limit() -> None:
    async def main() -> None:
        server = await cede.start_server(echo, ["127.0.0.1", "127.0.0.2"], 0, max_connections=1)
        addresses = [sock.getsockname() for sock in server.sockets]
        talks = [await cede.open_connection(*address) for address in addresses]
        for _, writer in talks:
            writer.write(b"x")
        await until(lambda: server.statistics().accepted)
        for _ in range(5):
            await asyncio.sleep(0)
        assert server.statistics().accepted == 1
        for _, writer in talks:
            writer.write_eof()
        for reader, writer in talks:
            assert await reader.read() == b"x"
            writer.close()
        assert server.statistics().peak == 1
        server.close()
        await server.wait_closed()

    cede.run(main())


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_a_silent_peer_is_cut_off_and_others_do_not_notice(unix: bool, ears: type[Ears], tmp_path: Any) -> None:
    async def main() -> None:
        loop = cede_loop()
        if unix:
            server = await loop.create_unix_server(ears, tmp_path / "socket", first_byte_timeout=0.05)
            connect = lambda: loop.create_unix_connection(asyncio.Protocol, tmp_path / "socket")  # noqa: E731
        else:
            server = await loop.create_server(ears, "127.0.0.1", 0, first_byte_timeout=0.05)
            connect = lambda: loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())  # noqa: E731
        silent, _ = await connect()
        talker, _ = await connect()
        talker.write(b"hello")
        await until(lambda: silent.is_closing())
        (error,) = ears.ends
        assert isinstance(error, ConnectionAbortedError)
        assert "sent nothing within 0.05 seconds" in str(error)
        assert not talker.is_closing()
        seen = server.statistics()
        assert (seen.silent, seen.slow, seen.connections, seen.accepted) == (1, 0, 1, 2)
        talker.close()
        server.close()
        await server.wait_closed()

    cede.run(main())


def cede_loop() -> Any:
    return asyncio.get_running_loop()


@pytest.mark.parametrize("deadline", [None, 0.5])
def test_a_byte_per_second_client_is_cut_off(deadline: float | None) -> None:
    """xinference#5213: a client that trickles does not hold its connection, and the others do not notice."""

    async def main() -> None:
        server = await cede.start_server(
            echo_lines, "127.0.0.1", 0, first_byte_timeout=deadline, min_read_rate=1000, read_rate_window=0.5
        )
        address = server.sockets[0].getsockname()
        slow_reader, slow_writer = await cede.open_connection(*address)
        quick_reader, quick_writer = await cede.open_connection(*address)
        cut = asyncio.ensure_future(slow_reader.read())
        answered = 0
        with contextlib.suppress(ConnectionError):
            while not cut.done():
                slow_writer.write(b"x")
                quick_writer.write(b"y" * 200 + b"\n")
                assert await quick_reader.readline() == b"y" * 200 + b"\n"
                answered += 1
                await asyncio.sleep(0.01)
        with contextlib.suppress(ConnectionError):
            assert await cut == b""
        quick_writer.write(b"still served\n")
        assert await quick_reader.readline() == b"still served\n"
        assert answered > 1
        assert server.statistics().slow == 1
        quick_writer.close()
        slow_writer.close()
        server.close()
        await server.wait_closed()

    async def echo_lines(reader: Any, writer: Any) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(line)
        writer.close()

    cede.run(main())


def test_our_own_slowness_is_not_the_peers() -> None:
    """While the handler works, or reading is paused, the peer may be as silent as it likes."""

    async def main() -> None:
        windows = 5
        done = asyncio.Event()

        async def work(reader: Any, writer: Any) -> None:
            request = await reader.readline()
            await asyncio.sleep(0.02 * windows)
            writer.write(request)
            writer.close()
            done.set()

        server = await cede.start_server(work, "127.0.0.1", 0, min_read_rate=10, read_rate_window=0.02)
        reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
        writer.write(b"please\n")
        assert await reader.readline() == b"please\n"
        assert done.is_set()
        assert server.statistics().slow == 0
        writer.close()
        server.close()
        await server.wait_closed()

    cede.run(main())


def test_paused_reading_is_not_the_peers_fault(ears: type[Ears]) -> None:
    async def main() -> None:
        made: list[Any] = []

        class Paused(ears):  # type: ignore[valid-type, misc]
            def connection_made(self, transport: Any) -> None:
                transport.pause_reading()
                made.append(transport)

        loop = cede_loop()
        server = await loop.create_server(Paused, "127.0.0.1", 0, min_read_rate=1, read_rate_window=0.01)
        client, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        await asyncio.sleep(0.05)
        assert server.statistics().slow == 0
        made[0].resume_reading()
        await until(lambda: server.statistics().slow == 1)
        await until(lambda: client.is_closing())
        server.close()
        await server.wait_closed()

    cede.run(main())


def test_a_buffered_protocol_is_counted_too() -> None:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(100)

        def get_buffer(self, sizehint: int) -> Any:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            pass

    async def main() -> None:
        loop = cede_loop()
        server = await loop.create_server(Buffered, "127.0.0.1", 0, first_byte_timeout=0.5)
        talker, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        talker.write(b"x")
        silent, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        await until(lambda: silent.is_closing())
        assert not talker.is_closing()
        assert server.statistics().silent == 1
        talker.close()
        server.close()
        await server.wait_closed()

    cede.run(main())


def test_a_connection_that_ends_takes_its_timer_along(ears: type[Ears]) -> None:
    async def main() -> None:
        loop = cede_loop()
        server = await loop.create_server(ears, "127.0.0.1", 0, first_byte_timeout=NEVER)
        with socket.create_connection(server.sockets[0].getsockname()):
            await until(lambda: len(server._pacers) == 1)
            (pacer,) = server._pacers.values()
            timer = pacer._timer
        await until(lambda: ears.ends)
        assert timer.cancelled()
        assert not server._pacers
        server.close()
        await server.wait_closed()

    cede.run(main())


def test_without_limits_nothing_is_metered() -> None:
    async def main() -> None:
        server = await cede.start_server(echo, "127.0.0.1", 0)
        _reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
        await until(lambda: server.statistics().accepted)
        (transport,) = server._clients
        assert type(transport).__name__ == "StreamTransport"
        assert not server._pacers
        writer.close()
        server.close()
        await until(lambda: not server._clients)
        assert server.statistics() == cede.ServerStatistics(
            connections=0, peak=1, accepted=1, accept_paused=False, accept_pauses=0, failed=0, silent=0, slow=0
        )

    cede.run(main())


def test_a_failing_factory_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Any:
        raise ZeroDivisionError

    async def main() -> None:
        server = await cede_loop().create_server(fail, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()):
            await until(lambda: server.statistics().failed == 1)
        assert server.statistics().connections == 0
        server.close()
        await server.wait_closed()

    cede.run(main())
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("limit", "error"),
    [
        ({"max_connections": 0}, ValueError),
        ({"max_connections": 1.5}, TypeError),
        ({"max_connections": True}, TypeError),
        ({"first_byte_timeout": 0}, ValueError),
        ({"first_byte_timeout": "1"}, TypeError),
        ({"min_read_rate": float("inf")}, ValueError),
        ({"min_read_rate": float("nan")}, ValueError),
        ({"read_rate_window": -1}, ValueError),
        ({"read_rate_window": None}, TypeError),
        ({"min_write_rate": 0}, ValueError),
        ({"min_write_rate": "100"}, TypeError),
        ({"min_write_rate": float("inf")}, ValueError),
        ({"write_rate_window": 0}, ValueError),
        ({"write_rate_window": True}, TypeError),
    ],
    ids=str,
)
def test_limits_that_are_none(limit: dict[str, Any], error: type[Exception]) -> None:
    async def main() -> None:
        with pytest.raises(error, match=next(iter(limit))):
            await cede.start_server(echo, "127.0.0.1", 0, **limit)

    cede.run(main())
