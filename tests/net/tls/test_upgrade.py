"""`start_tls`: TLS put over a connection that is in use, TLS in TLS included. asyncio is the oracle where it does the same."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

import pytest

import cede
from tests.support.certificates import client_context, server_context

ssl = pytest.importorskip("ssl")

from tests.support.tls_peer import Peer  # noqa: E402
from tests.support.tls_talk import Echo, Talk, serving  # noqa: E402

Run = Callable[..., Any]


def ours() -> bool:
    return isinstance(asyncio.get_running_loop(), cede.EventLoop)


async def plain_pair(one: Callable[[], Any], other: Callable[[], Any]) -> tuple[Any, Any]:
    """Two protocols, connected without TLS."""
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    _, first = await loop.create_connection(one, sock=left)
    _, second = await loop.create_connection(other, sock=right)
    return first, second


async def upgraded(client: Any, server: Any, hostname: str = "localhost", layers: int = 1, **options: Any) -> None:
    """Put TLS between the two, and give each protocol its new transport."""
    loop = asyncio.get_running_loop()
    for _ in range(layers):
        client.transport, server.transport = await asyncio.gather(
            loop.start_tls(client.transport, client, client_context(), server_hostname=hostname, **options),
            loop.start_tls(server.transport, server, server_context(), server_side=True, **options),
        )


async def parted(*talks: Any) -> None:
    talks[0].transport.close()
    for talk in talks:
        await talk.lost


def test_the_first_data_comes_after_start_tls_has_returned(run: Run) -> None:
    """Though both are in one packet: who answers has to have the transport to answer on."""

    class Answers(Talk):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.write(data.upper())

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not ours():
            pytest.skip("asyncio has the answer leave the old transport, plain")
        left, right = socket.socketpair()
        right.setblocking(False)
        transport, server = await loop.create_connection(Answers, sock=left)

        async def upgrade() -> None:
            server.transport = await loop.start_tls(transport, server, server_context(), server_side=True)

        upgrading = asyncio.create_task(upgrade())
        await asyncio.sleep(0)  # it has begun: nothing is taken for plain data
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        done = False
        while not done:
            try:
                client.do_handshake()
                client.write(b"hello")
                done = True
            except ssl.SSLWantReadError:
                pass
            await loop.sock_sendall(right, outgoing.read())
            if not done:
                incoming.write(await loop.sock_recv(right, 65536))
        answer = b""
        while not answer:
            incoming.write(await loop.sock_recv(right, 65536))
            try:
                answer = client.read()
            except ssl.SSLWantReadError:
                pass
        assert answer == b"HELLO"
        await upgrading
        right.close()
        await server.lost

    run(main)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("size", [5, 1_000_000])
def test_upgrades(run: Run, layers: int, size: int) -> None:
    async def main() -> None:
        client, server = await plain_pair(Talk, Echo)
        client.transport.write(b"plain")
        assert await client.has(5) == b"plain"
        client.data = b""
        await upgraded(client, server, layers=layers)
        assert client.transport.get_extra_info("ssl_object") is not None
        assert client.transport.get_extra_info("socket") is not None
        data = b"%0*d" % (size, 7)
        client.transport.write(data)
        assert await client.has(size) == data
        await parted(client, server)
        assert client.told.count("made") == server.told.count("made") == 1
        assert client.told[-1] == server.told[-1] == "lost"
        assert server.lost.result() is None

    run(main)


def test_tls_in_tls_with_a_slow_reader(run: Run) -> None:
    async def main() -> None:
        if not ours():
            pytest.skip("asyncio counts what waits on one floor alone")
        client, server = await plain_pair(Talk, Talk)
        await upgraded(client, server, layers=2)
        server.transport.pause_reading()
        data = b"0123456789" * 500_000
        client.transport.write(data)
        assert client.transport.get_write_buffer_size() > 0
        await client.until(lambda: "pause" in client.told)
        server.transport.resume_reading()
        assert await server.has(len(data)) == data
        await client.until(lambda: "resume" in client.told)
        assert client.transport.get_write_buffer_size() == 0
        await parted(client, server)

    run(main)


def test_an_upgrade_while_writing_is_paused(run: Run) -> None:
    """What waits goes out first, plain; the protocol is told to go on once, as it was told to stop once (uvloop 564, cpython 109051)."""

    async def main() -> None:
        if not ours():
            pytest.skip("asyncio's flow control trips over it")
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        right.setblocking(False)
        transport, client = await loop.create_connection(Talk, sock=left)
        data = b"x" * 3_000_000
        transport.write(data)
        assert client.told == ["made", "pause"]
        upgrading = asyncio.create_task(loop.start_tls(transport, client, client_context(), server_hostname="localhost"))
        received = 0
        while received < len(data):
            received += len(await loop.sock_recv(right, len(data) - received))
        peer = Peer(right, server_context(), server_side=True)
        await peer.handshake()
        client.transport = await upgrading
        assert client.told == ["made", "pause", "resume"]
        client.transport.write(b"secret")
        assert await peer.read_exactly(6) == b"secret"
        peer.close()
        await client.lost

    run(main)


@pytest.mark.parametrize("module", [asyncio, cede], ids=["asyncio-streams", "cede-streams"])
def test_streams_whose_hello_came_early(run: Run, module: Any) -> None:
    async def main() -> None:
        if not ours():
            pytest.skip("fixed in asyncio of Python 3.14")
        arrived = asyncio.Event()

        async def serve(reader: Any, writer: Any) -> None:
            await arrived.wait()
            await writer.start_tls(server_context())
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        server = await module.start_server(serve, "127.0.0.1", 0)
        sock = socket.create_connection(server.sockets[0].getsockname())
        peer = Peer(sock, client_context())
        shaking = asyncio.create_task(peer.handshake())
        for _ in range(10):
            await asyncio.sleep(0)
        arrived.set()
        await shaking
        await peer.write(b"hello\n")
        assert await peer.read_exactly(6) == b"hello\n"
        assert await peer.read() == b""
        await peer.send(peer.goodbye())
        peer.close()
        server.close()
        await server.wait_closed()

    run(main)


@pytest.mark.parametrize("size", [9, 200_000], ids=["a line", "more than the limit"])
@pytest.mark.parametrize("module", [asyncio, cede], ids=["asyncio-streams", "cede-streams"])
def test_what_came_before_tls_is_not_taken_for_encrypted_by_a_client(run: Run, module: Any, size: int) -> None:
    """Somebody on the way adds a line to the server's last plain one."""

    async def main() -> None:
        if module is asyncio and not ours():
            pytest.skip("asyncio takes it for encrypted")
        near, far = socket.socketpair()
        far.settimeout(10)
        reader, writer = await module.open_connection(sock=near)
        far.sendall(b"go ahead\r\n")
        assert await reader.readline() == b"go ahead\r\n"
        sending = asyncio.create_task(asyncio.to_thread(far.sendall, b"injected " * (size // 9)))
        for _ in range(20):
            await asyncio.sleep(0.001)
        with pytest.raises(ConnectionAbortedError, match="came before TLS began"):
            await writer.start_tls(client_context(), server_hostname="localhost")
        await asyncio.wait([sending])
        sending.exception()
        assert writer.is_closing()
        far.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    run(main)


@pytest.mark.parametrize("module", [asyncio, cede], ids=["asyncio-streams", "cede-streams"])
def test_what_came_before_tls_is_not_taken_for_encrypted_by_a_server(run: Run, module: Any) -> None:
    """Somebody on the way adds a command to the client's last plain one; then the client begins its handshake."""

    async def main() -> None:
        if module is asyncio and not ours():
            pytest.skip("fixed in asyncio of Python 3.14")
        outcome: Any = asyncio.get_running_loop().create_future()

        async def serve(reader: Any, writer: Any) -> None:
            assert await reader.readline() == b"STARTTLS\r\n"
            writer.write(b"go ahead\r\n")
            try:
                await writer.start_tls(server_context())
                outcome.set_result(await reader.readline())
            except OSError as error:
                outcome.set_result(error)
            writer.close()

        server = await module.start_server(serve, "127.0.0.1", 0)
        sock = socket.create_connection(server.sockets[0].getsockname())
        sock.sendall(b"STARTTLS\r\nDELETE everything\r\n")
        sock.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(sock, 10) == b"go ahead\r\n"
        peer = Peer(sock, client_context())
        with contextlib.suppress(OSError):
            await peer.handshake()
            await peer.write(b"harmless\r\n")
        assert isinstance(await outcome, OSError)
        sock.close()
        server.close()
        await server.wait_closed()

    run(main)


def test_wrong_arguments(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serving(Echo) as address:
            transport, protocol = await loop.create_connection(Talk, *address)
            with pytest.raises(TypeError, match=r"ssl\.SSLContext"):
                await loop.start_tls(transport, protocol, "a context")  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="is not supported by start_tls"):
                await loop.start_tls(asyncio.Transport(), protocol, client_context())
            for seconds in (0, -1):
                for name in ("ssl_handshake_timeout", "ssl_shutdown_timeout"):
                    with pytest.raises(ValueError, match=f"{name} should be a positive number, got {seconds}"):
                        await loop.start_tls(transport, protocol, client_context(), **{name: seconds})
                    if not ours():
                        continue  # asyncio leaves the socket to the collector
                    with pytest.raises(ValueError, match=f"{name} should be a positive number, got {seconds}"):
                        await loop.create_connection(Talk, *address, ssl=client_context(), server_hostname="x", **{name: seconds})
            # None of that has harmed the connection.
            transport.write(b"fine")
            assert await protocol.has(4) == b"fine"
            transport.close()
            await protocol.lost

    run(main)


def test_a_server_refuses_a_wrong_timeout_at_once(run: Run) -> None:
    async def main() -> None:
        if not ours():
            pytest.skip("asyncio finds out with the first connection")
        with pytest.raises(ValueError, match="ssl_handshake_timeout should be a positive number, got 0"):
            await asyncio.get_running_loop().create_server(Talk, "127.0.0.1", 0, ssl=server_context(), ssl_handshake_timeout=0)

    run(main)


@pytest.mark.parametrize("layers", [0, 1])
def test_a_cancelled_upgrade(run: Run, layers: int) -> None:
    """The connection is closed, and the protocol told so once."""

    async def main() -> None:
        client, server = await plain_pair(Talk, Talk)
        await upgraded(client, server, layers=layers)
        loop = asyncio.get_running_loop()
        upgrading = asyncio.create_task(loop.start_tls(client.transport, client, client_context(), server_hostname="localhost"))
        for _ in range(4):
            await asyncio.sleep(0)
        upgrading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upgrading
        await server.lost
        if ours():
            await client.lost
            assert client.told.count("lost") == 1

    run(main)


def test_a_failed_upgrade(run: Run) -> None:
    async def main() -> None:
        client, server = await plain_pair(Talk, Talk)
        loop = asyncio.get_running_loop()
        results = await asyncio.gather(
            loop.start_tls(client.transport, client, client_context("other.test"), server_hostname="localhost"),
            loop.start_tls(server.transport, server, server_context(), server_side=True),
            return_exceptions=True,
        )
        assert isinstance(results[0], ssl.SSLCertVerificationError)
        if isinstance(results[1], BaseException):
            assert isinstance(results[1], (ssl.SSLError, ConnectionError))
        if ours():
            assert isinstance(await client.lost, ssl.SSLCertVerificationError)
            error = await server.lost
            assert isinstance(error, ssl.SSLError)
            assert "alert" in str(error).lower()
            assert client.told == server.told == ["made", "lost"]

    run(main)


@pytest.mark.parametrize("how", ["closed", "closed before", "aborted", "left by its peer", "closed with data to send", "closed TLS"])
@pytest.mark.parametrize("server_side", [False, True])
def test_an_upgrade_of_a_closed_connection(run: Run, how: str, server_side: bool) -> None:
    """It is refused at once. The protocol hears of the end as it would have, and once."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not ours():
            pytest.skip("asyncio waits for ever: it waits for a handshake that nobody tells of its end")
        client, server = await plain_pair(Talk, Talk)
        if how == "closed TLS":
            await upgraded(client, server)
        transport = client.transport
        if how == "left by its peer":
            server.transport.abort()
            await client.lost
        elif how == "aborted":
            transport.abort()
        else:
            if how == "closed with data to send":
                transport.write(bytes(5_000_000))
            transport.close()
            if how == "closed before":
                await client.lost
        context, hostname = (server_context(), None) if server_side else (client_context(), "localhost")
        with pytest.raises(ConnectionResetError, match=r"start_tls\(\): the connection is closed"):
            await loop.start_tls(transport, Talk(), context, server_side=server_side, server_hostname=hostname)
        assert transport.get_protocol() in (client, None)
        assert await client.lost is None
        server.transport.abort()
        await server.lost

    run(main)


def test_a_handshake_that_takes_too_long(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        with right:
            with pytest.raises(ConnectionAbortedError, match=r"SSL handshake is taking longer than 0\.01 seconds: aborting the connection"):
                await loop.create_connection(Talk, sock=left, ssl=client_context(), server_hostname="localhost", ssl_handshake_timeout=0.01)
        client, server = await plain_pair(Talk, Talk)
        with pytest.raises(ConnectionAbortedError, match="taking longer"):
            await loop.start_tls(client.transport, client, client_context(), server_hostname="localhost", ssl_handshake_timeout=0.01)
        await server.lost
        if ours():
            assert isinstance(await client.lost, ConnectionAbortedError)

    run(main)


def test_a_peer_that_leaves_during_the_handshake(run: Run) -> None:
    async def main() -> None:
        left, right = socket.socketpair()
        connecting = asyncio.create_task(
            asyncio.get_running_loop().create_connection(Talk, sock=left, ssl=client_context(), server_hostname="localhost")
        )
        right.setblocking(False)
        await asyncio.get_running_loop().sock_recv(right, 65536)
        right.close()
        with pytest.raises(ConnectionResetError):
            await connecting
        assert left.fileno() == -1

    run(main)


def test_foreign_transports_are_upgraded_too(run: Run) -> None:
    """A transport that is nobody's, and says that it can be upgraded."""

    class Pipe(asyncio.Transport):
        """Passes bytes to its twin by the loop; there is no socket."""

        _start_tls_compatible = True

        def __init__(self, protocol: Any) -> None:
            super().__init__()
            self.protocol = protocol
            self.twin: Any = None
            self.closing = False

        def set_protocol(self, protocol: Any) -> None:
            self.protocol = protocol

        def get_protocol(self) -> Any:
            return self.protocol

        def write(self, data: Any) -> None:
            if not self.closing:
                asyncio.get_running_loop().call_soon(self.twin.deliver, bytes(data))

        def deliver(self, data: bytes) -> None:
            if self.closing:
                return
            while data:
                buffer = self.protocol.get_buffer(-1)
                count = min(len(buffer), len(data), 1000)
                buffer[:count] = data[:count]
                data = data[count:]
                self.protocol.buffer_updated(count)

        def pause_reading(self) -> None:
            pass

        def resume_reading(self) -> None:
            pass

        def is_closing(self) -> bool:
            return self.closing

        def get_write_buffer_size(self) -> int:
            return 0

        def close(self) -> None:
            if not self.closing:
                self.closing = True
                asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)
                asyncio.get_running_loop().call_soon(self.twin.ended)

        abort = close

        def ended(self) -> None:
            if not self.closing and not self.protocol.eof_received():
                self.close()

        def _force_close(self, error: Any) -> None:
            self.close()

    async def main() -> None:
        client, server = Talk(), Echo()
        one, other = Pipe(client), Pipe(server)
        one.twin, other.twin = other, one
        client.connection_made(one)
        server.connection_made(other)
        await upgraded(client, server)
        client.transport.write(b"x" * 200_000)
        assert await client.has(200_000) == b"x" * 200_000
        await parted(client, server)

    run(main)
