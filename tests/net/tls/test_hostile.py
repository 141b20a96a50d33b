"""TLS with peers that are slow, broken or hostile: nothing spins, nothing grows, nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Callable
from typing import Any

import pytest

import cede
from tests.support.certificates import client_context, server_context

ssl = pytest.importorskip("ssl")

from tests.net.tls.test_end import Kept, narrow  # noqa: E402
from tests.support.tls_peer import Peer  # noqa: E402
from tests.support.tls_talk import Echo, Lender, Talk, pair, serving  # noqa: E402

Run = Callable[..., Any]


def ours() -> bool:
    return isinstance(asyncio.get_running_loop(), cede.EventLoop)


class LendingEcho(Lender):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_bytes_that_come_in_pieces(run: Run, version: str, rng: random.Random) -> None:
    """Records cut and joined anywhere, headers included, are the same data."""

    async def main() -> None:
        server = server_context()
        server.minimum_version = server.maximum_version = ssl.TLSVersion[version]
        for factory in (Echo, LendingEcho):
            async with serving(factory, ssl=server) as address:
                peer = await Peer.connected(address, client_context())
                data = b""
                wire = b""
                for size in [1, 2, 3, 16384, 16383, 100, 5000, *[rng.randrange(1, 3000) for _ in range(30)]]:
                    piece = rng.randbytes(size)
                    data += piece
                    wire += peer.sealed(piece)
                sent = 0
                while sent < len(wire):
                    step = rng.choice([1, 2, 3, 4, 5, 6, 7, 1000, 16406, 40_000])
                    await peer.send(wire[sent : sent + step])
                    sent += step
                    for _ in range(2):
                        await asyncio.sleep(0)
                assert await peer.read_exactly(len(data)) == data
                await peer.send(peer.goodbye())
                peer.close()

    run(main)


def test_many_small_records_are_told_together(run: Run) -> None:
    """A thousand records of a byte cost few calls of the protocol, not a thousand."""

    class Counting(Kept):
        calls = 0

        def data_received(self, data: bytes) -> None:
            self.calls += 1
            super().data_received(data)

    async def main() -> None:
        accepted: list[Any] = []
        async with serving(lambda: Counting(accepted), ssl=server_context()) as address:
            peer = await Peer.connected(address, client_context())
            await peer.send(b"".join(peer.sealed(b"x") for _ in range(1000)))
            while not accepted:
                await asyncio.sleep(0)
            assert await accepted[0].has(1000) == b"x" * 1000
            assert accepted[0].calls < 20
            peer.close()

    run(main)


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 3000, b"\x16\x03\x01\xff\xff", b"\x80\x2e\x01\x03\x01" + b"x" * 60],
    ids=["http", "zeros", "a record too long", "an old hello"],
)
def test_garbage_instead_of_a_handshake(run: Run, garbage: bytes) -> None:
    async def main() -> None:
        made: list[Any] = []

        class Served(Talk):
            def connection_made(self, transport: Any) -> None:
                made.append(transport)

        loop = asyncio.get_running_loop()
        async with serving(Served, ssl=server_context(), ssl_handshake_timeout=0.2) as address:
            with socket.socket() as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, address)
                await loop.sock_sendall(sock, garbage)
                try:
                    while await loop.sock_recv(sock, 100):
                        pass
                except ConnectionResetError:
                    pass
        assert made == []

    run(main)


def test_garbage_among_data(run: Run) -> None:
    """What came before it is told; then the error."""

    async def main() -> None:
        accepted: list[Any] = []
        async with serving(lambda: Kept(accepted), ssl=server_context()) as address:
            peer = await Peer.connected(address, client_context())
            good = peer.sealed(b"good")
            wire = bytearray(peer.sealed(b"corrupted"))
            wire[10] ^= 1
            await peer.send(good + bytes(wire) + peer.sealed(b"never read"))
            while not accepted:
                await asyncio.sleep(0)
            error = await accepted[0].lost
            assert isinstance(error, ssl.SSLError)
            if ours():  # asyncio loses what came together with the garbage
                assert accepted[0].data == b"good"
                assert accepted[0].told == ["made", "data", "lost"]
                with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
                    await peer.read()
            peer.close()

    run(main)


def test_data_after_the_goodbye(run: Run) -> None:
    """What comes after close_notify is no part of the conversation (uvloop 257)."""

    async def main() -> None:
        accepted: list[Any] = []
        async with serving(lambda: Kept(accepted), ssl=server_context()) as address:
            peer = await Peer.connected(address, client_context())
            await peer.send(peer.goodbye() + b"GET / HTTP/1.1")
            while not accepted:
                await asyncio.sleep(0)
            await accepted[0].lost
            assert accepted[0].data == b""
            assert accepted[0].told == ["made", "eof", "lost"]
            peer.close()

    run(main)


def test_peers_that_die_in_their_handshake(run: Run) -> None:
    """At whatever point: no descriptor stays behind (aioftp 88)."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serving(Talk, ssl=server_context()) as address:
            hello = ssl.MemoryBIO()
            with pytest.raises(ssl.SSLWantReadError):
                client_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost").do_handshake()
            wire = hello.read()
            before = len(os.listdir("/proc/self/fd"))
            for count in (0, 1, 5, 100, len(wire)):
                for reset in (False, True):
                    sock = socket.socket()
                    sock.setblocking(False)
                    await loop.sock_connect(sock, address)
                    await loop.sock_sendall(sock, wire[:count])
                    if reset:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    sock.close()
            while len(os.listdir("/proc/self/fd")) > before:
                await asyncio.sleep(0)

    run(main)


def test_flow_control(run: Run) -> None:
    async def main() -> None:
        if not ours():
            pytest.skip("asyncio counts what waits on one floor alone, and may not pause at all")
        async with pair(server_factory=Talk) as (client, server):
            narrow(client.transport)
            server.transport.pause_reading()
            assert not server.transport.is_reading()
            client.transport.set_write_buffer_limits(high=100_000, low=1000)
            assert client.transport.get_write_buffer_limits() == (1000, 100_000)
            for wrong in ({"high": 1, "low": 2}, {"high": -1}, {"low": -1}):
                with pytest.raises(ValueError, match="must be >= 0"):
                    client.transport.set_write_buffer_limits(**wrong)
            data = b"x" * 2_000_000
            client.transport.write(data)
            assert client.told == ["made", "pause"]
            assert client.transport.get_write_buffer_size() > 100_000
            server.transport.pause_reading()
            server.transport.resume_reading()
            server.transport.resume_reading()
            assert await server.has(len(data)) == data
            await client.until(lambda: "resume" in client.told)
            assert client.told == ["made", "pause", "resume"]
            assert client.transport.get_write_buffer_size() <= 1000

    run(main)


def test_limits_of_zero(run: Run) -> None:
    """The protocol goes on when everything is with the system, and not before."""

    async def main() -> None:
        if not ours():
            pytest.skip("asyncio pauses for nothing, and counts what waits on one floor alone")
        async with pair(server_factory=Talk) as (client, server):
            client.transport.set_write_buffer_limits(high=0)
            client.transport.write(b"small")
            assert client.told == ["made"]
            narrow(client.transport)
            server.transport.pause_reading()
            client.transport.write(b"x" * 4_000_000)
            assert client.told == ["made", "pause"]
            server.transport.resume_reading()
            await client.until(lambda: "resume" in client.told)
            assert client.transport.get_write_buffer_size() == 0
            await server.has(4_000_005)

    run(main)


@pytest.mark.parametrize("factory", [Talk, Lender], ids=["data_received", "get_buffer"])
def test_pausing_in_a_callback(run: Run, factory: Any) -> None:
    """Nothing is told while paused, and nothing is lost, whatever came in the same batch, the end included."""

    class Pausing(factory):  # type: ignore[misc]
        sizes = (16384,)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()

    async def main() -> None:
        accepted: list[Any] = []

        def accept() -> Any:
            accepted.append(Pausing())
            return accepted[-1]

        async with serving(accept, ssl=server_context()) as address:
            peer = await Peer.connected(address, client_context())
            data = b"".join(bytes([letter]) * 16384 for letter in range(8))
            wire = b"".join(peer.sealed(data[start : start + 16384]) for start in range(0, len(data), 16384))
            await peer.send(wire + peer.goodbye())
            while not accepted or accepted[0].transport is None:
                await asyncio.sleep(0)
            server = accepted[0]
            while not server.lost.done():
                had = len(server.data)
                for _ in range(4):
                    await asyncio.sleep(0)
                if ours() and not server.transport.is_reading() and len(server.data) > had:
                    assert len(server.data) - had <= 16384
                server.transport.resume_reading()
                await asyncio.sleep(0)
            assert server.data == data
            assert server.lost.result() is None
            assert [word for word in server.told if word != "data"] == ["made", "eof", "lost"]
            peer.close()

    run(main)


def test_a_pause_holds_the_peer_up(run: Run) -> None:
    """What a paused connection holds is bounded, and a slow reader gets everything in the end (cpython 80279, 77855)."""

    async def main() -> None:
        if not ours():
            pytest.skip("asyncio keeps what its own limits allow")
        async with pair(server_factory=Talk) as (client, server):
            data = os.urandom(1 << 20) * 8
            server.transport.pause_reading()
            client.transport.write(data)
            for _ in range(50):
                await asyncio.sleep(0)
            assert server.data == b""
            assert server.transport.get_read_buffer_size() <= 100 * 1024
            while len(server.data) < len(data):
                server.transport.resume_reading()
                await asyncio.sleep(0)  # the next poll brings what came, which is told behind this task
                await asyncio.sleep(0)
                server.transport.pause_reading()
                assert server.transport.get_read_buffer_size() <= 100 * 1024
                await asyncio.sleep(0)
            assert server.data == data
            server.transport.resume_reading()

    run(main)


def test_an_idle_connection_holds_no_buffers(run: Run) -> None:
    """After a lot of data in both directions, OpenSSL's memory for what comes and goes is that of a record."""

    async def main() -> None:
        if not ours():
            pytest.skip("asyncio keeps 256 KiB a connection")
        import tracemalloc

        async with pair() as (client, server):
            count = 10
            loop = asyncio.get_running_loop()
            address = server.transport.get_extra_info("sockname")
            accepted = [await loop.create_connection(Talk, *address, ssl=client_context(), server_hostname="localhost") for _ in range(1)]
            tracemalloc.start()
            try:
                before = tracemalloc.get_traced_memory()[0]
                more = [
                    await loop.create_connection(Talk, *address, ssl=client_context(), server_hostname="localhost")
                    for _ in range(count)
                ]
                for transport, protocol in more:
                    transport.write(b"x" * 300_000)
                    await protocol.has(300_000)
                    protocol.data = b""
                # Both ends, with their protocols, which remember all they got on the server's side.
                grown = (tracemalloc.get_traced_memory()[0] - before) / count
            finally:
                tracemalloc.stop()
            assert grown - 300_000 < 30_000
            for transport, protocol in accepted + more:
                transport.close()
                await protocol.lost
            assert client.transport.get_read_buffer_size() == 0

    run(main)


def test_a_loop_stepped_from_a_callback(run: Run) -> None:
    """Some tools turn the loop inside of a callback: one connection's bytes must not be taken for another's."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        if not ours():
            pytest.skip("is about cede's shared memory")

        class Stepping(Talk):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                if len(self.data) == len(data):  # the first, while the second half is still to be decrypted
                    for _ in range(10):
                        loop.call_soon(int)  # so that the turn does not sleep
                        loop._run_once()

        letters = [b"a", b"b", b"c", b"d", b"f", b"g"]
        accepted: list[Any] = []
        async with pair() as (client, _), serving(lambda: accepted.append(Stepping()) or accepted[-1], ssl=server_context()) as address:
            peer = await Peer.connected(address, client_context())
            wire = b"".join(peer.sealed(letter * 16384) for letter in letters)
            client.transport.write(b"e" * 100_000)
            await peer.send(wire)
            while not accepted:
                await asyncio.sleep(0)
            await accepted[0].has(len(letters) * 16384)
            assert accepted[0].data == b"".join(letter * 16384 for letter in letters)
            assert await client.has(100_000) == b"e" * 100_000
            peer.close()

    run(main)
