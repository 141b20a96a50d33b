"""TLS, datagrams, pipes and subprocesses: what cede has from the standard library's own transports works as it does there."""

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


# -- datagrams


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[Any] = asyncio.Queue()
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()
        self.lost = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.received.put_nowait((data, address))

    def error_received(self, error: Exception) -> None:
        self.errors.put_nowait(error)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


def test_datagram_endpoints(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server, at_server = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
        address = server.get_extra_info("sockname")
        client, at_client = await loop.create_datagram_endpoint(Datagrams, remote_addr=address)
        assert isinstance(client, asyncio.DatagramTransport) or sys.version_info < (3, 13)
        assert "fd=" in repr(client)
        for number in range(100):
            client.sendto(b"%d" % number)
            data, sender = await at_server.received.get()
            assert data == b"%d" % number
            server.sendto(data, sender)
            assert await at_client.received.get() == (data, address)
        with pytest.raises(ValueError):
            client.sendto(b"x", ("127.0.0.2", 9))
        for transport, protocol in ((client, at_client), (server, at_server)):
            fd = transport.get_extra_info("socket").fileno()
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop.add_reader(fd, print)
            transport.close()
            assert await protocol.lost is None

    run(main)


def test_datagrams_to_nobody(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            address = sock.getsockname()
        transport, protocol = await loop.create_datagram_endpoint(Datagrams, remote_addr=address)
        transport.sendto(b"anybody?")
        assert isinstance(await protocol.errors.get(), ConnectionRefusedError)
        assert not transport.is_closing()
        transport.close()
        await protocol.lost

    run(main)


def test_datagrams_over_unix_sockets(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        paths = [str(tmp_path / name) for name in ("one", "other")]
        for _ in range(2):  # the second finds the first's socket files
            one, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=paths[0], family=socket.AF_UNIX)
            other, at_other = await loop.create_datagram_endpoint(Datagrams, local_addr=paths[1], family=socket.AF_UNIX)
            one.sendto(b"hello", paths[1])
            assert await at_other.received.get() == (b"hello", paths[0])
            one.close()
            other.close()
            await at_other.lost

    run(main)


def test_datagrams_over_a_given_socket(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        transport, protocol = await loop.create_datagram_endpoint(Datagrams, sock=sock)
        transport.sendto(b"to myself", sock.getsockname())
        assert await protocol.received.get() == (b"to myself", sock.getsockname())
        transport.close()
        await protocol.lost
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as other:
            with pytest.raises(ValueError, match=r"[sS]ocket was expected"):
                await loop.create_datagram_endpoint(Datagrams, sock=stream)
            with pytest.raises(ValueError, match="can not be used when sock is specified"):
                await loop.create_datagram_endpoint(Datagrams, sock=other, reuse_port=True)

    run(main)


def test_datagram_bad_arguments(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for error, arguments in (
            (ValueError, {}),
            (TypeError, {"local_addr": "127.0.0.1"}),
            (TypeError, {"local_addr": ("127.0.0.1", 1, 2)}),
            (TypeError, {"local_addr": 5, "family": socket.AF_UNIX}),
            (ValueError, {"local_addr": ("127.0.0.1", 0), "remote_addr": ("::1", 1)}),
            (OSError, {"local_addr": ("192.0.2.1", 0)}),
            (TypeError, {"local_addr": ("127.0.0.1", 0), "no_such_option": 1}),
        ):
            with pytest.raises(error):
                await loop.create_datagram_endpoint(Datagrams, **arguments)  # type: ignore[arg-type]

    run(main)


# -- pipes


class Reading(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


def test_pipes(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ear, mouth = os.pipe()
        reader, reading = await loop.connect_read_pipe(Reading, os.fdopen(ear, "rb", 0))
        writer, writing = await loop.connect_write_pipe(Reading, os.fdopen(mouth, "wb", 0))
        data = os.urandom(1 << 18)
        writer.write(data)
        writer.write_eof()
        assert await reading.lost is None
        assert await writing.lost is None
        assert reading.data == data
        for thing in (reader, writer):
            assert "Transport" in repr(thing)
            thing.close()

    run(main)


def test_a_file_is_no_pipe(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with (tmp_path / "file").open("wb") as file:
            with pytest.raises(ValueError, match="for pipes/sockets only"):
                await loop.connect_read_pipe(Reading, file)
            with pytest.raises(ValueError, match="only for"):
                await loop.connect_write_pipe(Reading, file)

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
