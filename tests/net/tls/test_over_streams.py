"""TLS through asyncio's own streams: servers, clients, handshakes that fail, and `start_tls` on both sides."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ssl = pytest.importorskip("ssl")

Run = Callable[..., Any]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a self-signed certificate for localhost, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        (
            f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
            " -addext subjectAltName=DNS:localhost -keyout key -out certificate"
        ).split(),
        cwd=folder,
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_bytes((folder / "key").read_bytes() + (folder / "certificate").read_bytes())
    return both


@pytest.fixture
def server_tls(certificate: Path) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def client_tls(certificate: Path) -> Any:
    return ssl.create_default_context(cafile=certificate)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def test_tls_streams(run: Run, server_tls: Any, client_tls: Any) -> None:
    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_tls)
        port = server.sockets[0].getsockname()[1]
        for size in (1, 100_000, 1_000_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_tls, server_hostname="localhost")
            assert writer.get_extra_info("ssl_object").version().startswith("TLS")
            assert writer.get_extra_info("peername") == ("127.0.0.1", port)
            talking = converse(reader, writer, os.urandom(size))
            await asyncio.wait_for(talking, 60)
        server.close()
        await server.wait_closed()

    run(main)


def test_tls_over_a_given_socket_and_unix(run: Run, server_tls: Any, client_tls: Any, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "socket"
        server = await asyncio.start_unix_server(echo, path, ssl=server_tls)
        await converse(*await asyncio.open_unix_connection(path, ssl=client_tls, server_hostname="localhost"), b"over a path")
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        await converse(*await asyncio.open_connection(sock=sock, ssl=client_tls, server_hostname="localhost"), b"over a socket")
        server.close()
        await server.wait_closed()

    run(main)


def test_tls_certificate_errors(run: Run, server_tls: Any) -> None:
    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_tls)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=True, server_hostname="localhost")
        server.close()
        await server.wait_closed()

    run(main)
    gc.collect()


def test_tls_handshake_timeout(run: Run, client_tls: Any) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts, and never says a word
            with pytest.raises(ConnectionAbortedError):
                await asyncio.open_connection(
                    *listener.getsockname(), ssl=client_tls, server_hostname="localhost", ssl_handshake_timeout=0.01
                )

    run(main)


def test_a_peer_that_speaks_no_tls(run: Run, server_tls: Any) -> None:
    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_tls)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(main)


def test_start_tls_on_both_sides(run: Run, server_tls: Any, client_tls: Any) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"GO\n")
        await writer.drain()
        await writer.start_tls(server_tls)
        await echo(reader, writer)

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"GO\n"
        await writer.start_tls(client_tls, server_hostname="localhost")
        assert writer.get_extra_info("ssl_object") is not None
        await converse(reader, writer, b"secret" * 1000)
        server.close()
        await server.wait_closed()

    run(main)


def test_start_tls_bad_arguments(run: Run, client_tls: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        transport, protocol = await loop.create_connection(asyncio.Protocol, sock=one)
        with pytest.raises(TypeError, match=r"ssl\.SSLContext"):
            await loop.start_tls(transport, protocol, True)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="is not supported by start_tls"):
            await loop.start_tls(asyncio.Transport(), protocol, client_tls)
        transport.close()
        other.close()
        await asyncio.sleep(0)

    run(main)
