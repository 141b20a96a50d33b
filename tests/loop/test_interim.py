"""TLS and subprocesses: what cede has from the standard library's own transports works as it does there."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ssl = pytest.importorskip("ssl")

Run = Callable[..., Any]


# -- TLS


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


# -- subprocesses


def test_communicate(run: Run) -> None:
    code = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data[::-1]); sys.stderr.write('said'); sys.exit(7)"

    async def main() -> None:
        for size in (0, 1, 65_537, 1_000_000):
            data = os.urandom(size)
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=-1, stdout=-1, stderr=-1)
            out, err = await process.communicate(data)
            assert (out, err, process.returncode) == (data[::-1], b"said", 7)

    run(main)


def test_shell(run: Run) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell("echo $((20 + 22)); exit 3", stdout=-1)
        out, _ = await process.communicate()
        assert (out, process.returncode) == (b"42\n", 3)

    run(main)


def test_kill_and_wait(run: Run) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1)
        process.terminate()
        assert await process.wait() == -15
        with contextlib.suppress(ProcessLookupError):  # older Pythons say so
            process.kill()
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1)
        process.kill()
        assert await process.wait() == -9

    run(main)


def test_many_children_at_once(run: Run) -> None:
    async def child(number: int) -> int:
        process = await asyncio.create_subprocess_exec("sh", "-c", f"exit {number}")
        return await process.wait()

    async def main() -> list[int]:
        return await asyncio.gather(*(child(number) for number in range(30)))

    assert run(main) == list(range(30))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors in /proc")
def test_programs_that_do_not_exist_leave_no_descriptor(run: Run) -> None:
    async def main() -> None:
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            with pytest.raises(FileNotFoundError):
                await asyncio.create_subprocess_exec("/no/such/program", stdin=-1, stdout=-1)
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == before

    run(main)


def test_a_loop_in_a_thread_has_children_too(loop_factory: Any) -> None:
    """cpython 125502: communicate cancelled, SIGCHLD ignored, a loop in a thread."""
    import threading

    results: list[int] = []

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("sh", "-c", "exit 5")
        results.append(await process.wait())

    def elsewhere() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert results == [5]


def test_a_child_that_somebody_else_collected(run: Run, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["loop_factory"] == "asyncio":
        pytest.skip("tells it in its own words")

    async def main() -> None:
        ear, mouth = os.pipe()
        process = await asyncio.create_subprocess_exec("sh", "-c", "read line; exit 5", stdin=ear)
        os.close(ear)
        os.close(mouth)
        os.waitpid(process.pid, 0)
        with pytest.warns(RuntimeWarning, match="status already read"):
            assert await process.wait() == 255

    run(main)


def test_subprocess_bad_arguments(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for call in (
            lambda: loop.subprocess_exec(asyncio.SubprocessProtocol, "true", shell=True),  # type: ignore[arg-type]
            lambda: loop.subprocess_exec(asyncio.SubprocessProtocol, "true", text=True),  # type: ignore[arg-type]
            lambda: loop.subprocess_exec(asyncio.SubprocessProtocol, "true", encoding="utf-8"),  # type: ignore[arg-type]
            lambda: loop.subprocess_exec(asyncio.SubprocessProtocol, "true", bufsize=1),  # type: ignore[arg-type]
            lambda: loop.subprocess_shell(asyncio.SubprocessProtocol, ["true"]),  # type: ignore[arg-type]
            lambda: loop.subprocess_shell(asyncio.SubprocessProtocol, "true", shell=False),  # type: ignore[arg-type]
            lambda: loop.subprocess_shell(asyncio.SubprocessProtocol, "true", universal_newlines=True),  # type: ignore[arg-type]
        ):
            with pytest.raises(ValueError, match="must be"):
                await call()

    run(main)
