"""Limits of servers, the other direction: who still takes an answer is not silent, and who takes nothing does not stay."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

import cede
from tests.support.certificates import client_context, server_context

ANSWER = bytes(3_000_000)

WAYS = ["tcp", "unix", "tls"]


class Answers(asyncio.Protocol):
    """Answers anything by much, and closes then, if it is told to."""

    closes = False

    def __init__(self) -> None:
        self.lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        seen.append(self)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200_000)  # else the system takes it all

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER)
        if self.closes:
            self.transport.close()

    def connection_lost(self, error: BaseException | None) -> None:
        self.lost.set_result(error)


class AnswersAndCloses(Answers):
    closes = True


seen: list[Answers] = []


async def handler(reader: Any, writer: Any) -> None:
    """The next request is waited for while the answer leaves."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            writer.write(ANSWER)
    writer.close()


@contextlib.asynccontextmanager
async def serving(way: str, kind: Any, path: Any, **limits: Any) -> AsyncIterator[Any]:
    loop: Any = asyncio.get_running_loop()
    seen.clear()
    tls = {"ssl": server_context()} if way == "tls" else {}
    if kind is handler:
        if way == "unix":
            server = await cede.start_unix_server(handler, path, **limits)
        else:
            server = await cede.start_server(handler, "127.0.0.1", 0, **tls, **limits)
    elif way == "unix":
        server = await loop.create_unix_server(kind, path, **limits)
    else:
        server = await loop.create_server(kind, "127.0.0.1", 0, **tls, **limits)
    yield server
    server.close()
    server.abort_clients()
    await server.wait_closed()


async def connected(server: Any, way: str) -> tuple[Any, Any]:
    """Streams of a client with little room of its own."""
    address = server.sockets[0].getsockname()
    if way == "unix":
        sock = socket.socket(socket.AF_UNIX)
    else:
        sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, address)
    tls = {"ssl": client_context(), "server_hostname": "localhost"} if way == "tls" else {}
    return await cede.open_connection(sock=sock, limit=8192, **tls)


@pytest.mark.parametrize("kind", [Answers, handler], ids=["protocol", "stream"])
@pytest.mark.parametrize("way", WAYS)
def test_who_still_receives_the_answer_is_not_silent(way: str, kind: Any, tmp_path: Any) -> None:
    async def main() -> None:
        async with serving(way, kind, tmp_path / "socket", min_read_rate=100, read_rate_window=0.1) as server:
            # The loop's clock goes on with what is read, and no more: a machine that is busy elsewhere is no slow reader. It stands still
            # before the connection is there, whose first window might be over else before the client has written anything.
            loop: Any = asyncio.get_running_loop()
            moment = loop.time()
            loop.time = lambda: moment
            reader, writer = await connected(server, way)
            writer.write(bytes(1000))
            got = 0
            until = moment + 0.5  # five windows
            while got < len(ANSWER):
                block = await reader.read(16384)
                assert block, (got, server.statistics())
                got += len(block)
                if moment < until:
                    moment += 0.005
                    await asyncio.sleep(0)
            assert server.statistics().slow == 0
            reading = asyncio.ensure_future(reader.read())
            while not reading.done():  # and who then neither sends nor has anything to take is
                moment += 0.005
                await asyncio.sleep(0)
            assert not reading.result()
            del loop.time
            assert server.statistics().slow == 1
            writer.close()

    with contextlib.suppress(ConnectionError):
        cede.run(main())


@pytest.mark.parametrize("kind", [Answers, AnswersAndCloses], ids=["open", "closing"])
@pytest.mark.parametrize("way", WAYS)
def test_who_never_reads_gives_the_place_back(way: str, kind: Any, tmp_path: Any) -> None:
    async def main() -> None:
        limits = {"max_connections": 1, "min_write_rate": 10_000, "write_rate_window": 0.1}
        async with serving(way, kind, tmp_path / "socket", **limits) as server:
            _, writer = await connected(server, way)
            writer.transport.pause_reading()
            writer.write(b"please")
            while not seen:
                await asyncio.sleep(0.005)
            error = await asyncio.wait_for(seen[0].lost, 20)
            assert isinstance(error, ConnectionAbortedError)
            assert "10000 a second" in str(error)
            assert server.statistics().lagging == 1
            reader, other = await connected(server, way)
            other.write(b"please")
            assert await reader.readexactly(1000)
            other.close()
            writer.transport.abort()

    cede.run(main())


@pytest.mark.parametrize("way", WAYS)
def test_who_reads_often_enough_stays(way: str, tmp_path: Any) -> None:
    async def main() -> None:
        async with serving(way, Answers, tmp_path / "socket", min_write_rate=1000, read_rate_window=0.1) as server:
            reader, writer = await connected(server, way)
            for _ in range(2):
                writer.write(b"please")
                got = 0
                while got < len(ANSWER):
                    got += len(await reader.readexactly(100_000))
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.3)  # three windows in which there is nothing for it
            assert server.statistics().lagging == 0
            assert server.statistics().connections == 1
            writer.close()

    cede.run(main())


def test_what_only_the_system_holds_is_held_against_it_too(tmp_path: Any) -> None:
    """The queue is empty: all went into the system's buffer, where the peer leaves it."""

    class Short(Answers):
        def data_received(self, data: bytes) -> None:
            self.transport.write(bytes(50_000))
            assert not self.transport.get_write_buffer_size()

    async def main() -> None:
        async with serving("unix", Short, tmp_path / "socket", min_write_rate=10_000, write_rate_window=0.05) as server:
            _, writer = await connected(server, "unix")
            writer.transport.pause_reading()
            writer.write(b"please")
            while not seen:
                await asyncio.sleep(0.005)
            assert isinstance(await asyncio.wait_for(seen[0].lost, 20), ConnectionAbortedError)
            assert server.statistics().lagging == 1
            writer.transport.abort()

    cede.run(main())


def test_a_file_that_is_sent_counts(tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(ANSWER)

    class Sends(Answers):
        def data_received(self, data: bytes) -> None:
            self.sending = asyncio.ensure_future(send(self.transport))

    async def send(transport: Any) -> None:
        with path.open("rb") as file:
            await asyncio.get_running_loop().sendfile(transport, file)

    async def main() -> None:
        limits = {"min_read_rate": 100, "min_write_rate": 1000, "read_rate_window": 0.1}
        async with serving("tcp", Sends, None, **limits) as server:
            reader, writer = await connected(server, "tcp")
            writer.write(b"please")
            got = 0
            while got < len(ANSWER) // 2:
                got += len(await reader.readexactly(20_000))
                await asyncio.sleep(0.005)
            assert (server.statistics().slow, server.statistics().lagging) == (0, 0)
            writer.transport.pause_reading()  # now it takes no more
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(seen[0].sending, 20)
            assert server.statistics().lagging + server.statistics().slow == 1
            writer.transport.abort()

    cede.run(main())
