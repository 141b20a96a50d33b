"""Connections over TLS: what is said, and what can be asked. asyncio is the oracle."""

from __future__ import annotations

import asyncio
import contextvars
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cede
from tests.support.certificates import client_context, server_context

ssl = pytest.importorskip("ssl")

from tests.support.tls_talk import Talk, pair  # noqa: E402

Run = Callable[..., Any]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("size", [1, 16384, 16385, 3_000_000])
def test_an_echo_of_any_size(run: Run, version: str, size: int, rng: random.Random) -> None:
    async def main() -> None:
        server = server_context()
        server.minimum_version = server.maximum_version = ssl.TLSVersion[version]
        data = rng.randbytes(size)
        async with pair(server=server) as (client, _):
            assert client.transport.get_extra_info("ssl_object").version() == version.replace("_", ".")
            client.transport.write(data)
            assert await client.has(size) == data

    run(main)


@pytest.mark.parametrize("module", [asyncio, cede], ids=["asyncio-streams", "cede-streams"])
def test_streams(run: Run, module: Any, tmp_path: Path, rng: random.Random) -> None:
    data = rng.randbytes(700_000)

    async def answer(reader: Any, writer: Any) -> None:
        text = await reader.readline()
        writer.writelines([b"you said ", text])
        writer.write(await reader.readexactly(len(data)))
        await writer.drain()
        assert await reader.read() == b""
        writer.close()

    async def converse(reader: Any, writer: Any) -> None:
        writer.write(b"hello\n")
        assert await reader.readline() == b"you said hello\n"
        writer.write(data)
        await writer.drain()
        assert await reader.readexactly(len(data)) == data
        assert not writer.can_write_eof()
        with pytest.raises(NotImplementedError):
            writer.write_eof()
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        server = await module.start_server(answer, "127.0.0.1", 0, ssl=server_context())
        address = server.sockets[0].getsockname()
        await converse(*await module.open_connection(*address, ssl=client_context(), server_hostname="localhost"))
        sock = socket.create_connection(address)
        await converse(*await module.open_connection(sock=sock, ssl=client_context(), server_hostname="localhost"))
        server.close()
        await server.wait_closed()
        path = str(tmp_path / "socket")
        server = await module.start_unix_server(answer, path, ssl=server_context())
        await converse(*await module.open_unix_connection(path, ssl=client_context(), server_hostname="localhost"))
        server.close()
        await server.wait_closed()

    run(main)


def test_what_a_protocol_is_told(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            client.transport.write(b"x")
            await client.has(1)
        # The end of what was said is told to the one who closed, too.
        assert client.told == ["made", "data", "eof", "lost"]
        assert server.told == ["made", "data", "eof", "lost"]
        assert client.lost.result() is None
        assert server.lost.result() is None

    run(main)


def test_what_can_be_asked(run: Run) -> None:
    async def main() -> None:
        tls = client_context()
        async with pair(client=tls) as (client, server):
            transport = client.transport
            assert isinstance(transport, asyncio.Transport)
            assert transport.get_extra_info("sslcontext") is tls
            assert isinstance(transport.get_extra_info("ssl_object"), ssl.SSLObject)
            assert transport.get_extra_info("peercert")["subject"] == ((("commonName", "localhost"),),)
            assert transport.get_extra_info("cipher")[2] >= 128
            assert transport.get_extra_info("compression") is None
            assert transport.get_extra_info("socket").type == socket.SOCK_STREAM
            assert transport.get_extra_info("sockname") == server.transport.get_extra_info("peername")
            assert transport.get_extra_info("peername") == server.transport.get_extra_info("sockname")
            assert server.transport.get_extra_info("peercert") is None
            assert transport.get_extra_info("weather") is None
            assert transport.get_extra_info("weather", "fine") == "fine"
            assert transport.get_protocol() is client
            assert transport.is_reading()
            assert not transport.is_closing()
            assert transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)
            assert transport.get_write_buffer_size() == 0
            assert repr(transport)
            transport.close()
            assert transport.is_closing()

    run(main)


@pytest.mark.parametrize("wrong", ["a string", 5, None])
def test_only_bytes_can_be_written(run: Run, wrong: Any) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            with pytest.raises(TypeError):
                client.transport.write(wrong)
            for right in (b"", b"a", bytearray(b"b"), memoryview(b"c")):
                client.transport.write(right)
            assert await client.has(3) == b"abc"

    run(main)


def test_what_is_written_may_be_changed_afterwards(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            server.transport.pause_reading()
            data = bytearray(b"a" * 4_000_000)
            view = memoryview(bytearray(b"b" * 1_000_000))
            client.transport.write(data)
            client.transport.write(view)
            data[:] = b"x" * len(data)
            view[:] = b"x" * len(view)
            server.transport.resume_reading()
            assert await client.has(5_000_000) == b"a" * 4_000_000 + b"b" * 1_000_000

    run(main)


def test_many_pieces_at_once(run: Run, rng: random.Random) -> None:
    async def main() -> None:
        pieces: list[Any] = [rng.randbytes(rng.choice([0, 1, 10, 1000, 6500, 16384, 70_000])) for _ in range(200)]
        expected = b"".join(pieces)
        pieces[1::3] = [bytearray(piece) for piece in pieces[1::3]]
        pieces[2::3] = [memoryview(piece) for piece in pieces[2::3]]
        async with pair() as (client, _):
            client.transport.writelines(pieces)
            client.transport.writelines([])
            client.transport.writelines(iter([b"the ", b"end"]))
            assert await client.has(len(expected) + 7) == expected + b"the end"

    run(main)



# -- contexts of execution, order


def test_callbacks_run_in_one_context(run: Run) -> None:
    where: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")
    seen: list[tuple[str, str]] = []

    class Looking(Talk):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            seen.append(("made", where.get()))

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            seen.append(("data", where.get()))
            where.set("changed by data")

        def connection_lost(self, exc: BaseException | None) -> None:
            super().connection_lost(exc)
            seen.append(("lost", where.get()))

    async def main() -> None:
        where.set("main")
        async with pair(client_factory=Looking) as (client, _):
            client.transport.write(b"x")
            await client.has(1)
            client.transport.write(b"x")
            await client.has(2)
            assert where.get() == "main"
            if isinstance(asyncio.get_running_loop(), cede.EventLoop):
                assert seen == [("made", "main"), ("data", "main"), ("data", "changed by data")]
        assert [name for name, _ in seen] == ["made", "data", "data", "lost"]

    run(main)


def test_debug_mode(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            client.transport.write(b"x" * 100_000)
            assert len(await client.has(100_000)) == 100_000

    run(main, debug=True)
