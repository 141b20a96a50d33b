"""Transports: what is written when, how much memory stays, and TLS peers that mean no good."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

from cede.loop.config import driver_names
from tests.support.certificates import client_context, server_context
from tests.support.driver_worlds import OURS, WORLDS, Notes, World, connect, reset, turns, until
from tests.support.scripts import run_script

ROOT = Path(__file__).resolve().parents[2]
each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


# Large blocks are the system's own, so that what is freed is seen to be, whatever the allocator would keep.
GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}


@each_world
def test_writelines_after_the_connection_is_lost(world: World) -> None:
    """cpython 136234: as `write` then: nothing is kept, nothing raised, and from the fifth time on a warning is logged."""

    async def main() -> None:
        protocol = Notes()
        transport, far = await connect(protocol)
        transport.abort()
        for _ in range(3):
            transport.writelines([b"one", b"two"])
        assert transport.get_write_buffer_size() == 0
        assert isinstance(await protocol.lost, type(None))
        transport.writelines([b"after"])
        transport.write(b"after")
        assert transport.get_write_buffer_size() == 0
        far.close()

    if not world.ours and sys.version_info < (3, 13, 6):
        pytest.skip("asyncio's writelines sent into the closed socket before 3.13.6")
    world.run(main)


@each_world
def test_writelines_to_a_peer_that_reset(world: World) -> None:
    """cpython 136234: the peer is gone while pieces are queued."""

    async def main() -> None:
        protocol = Notes()
        with socket.create_server(("127.0.0.1", 0)) as server:
            far = socket.create_connection(server.getsockname())
            near, _ = server.accept()
        near.setblocking(False)
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, near)
        transport.writelines([bytes(100_000)] * 100)
        reset(far)
        error = await protocol.lost
        assert error is None or isinstance(error, ConnectionError)
        transport.writelines([b"x"] * 10)
        assert protocol.told.count("lost") == 1

    if not world.ours and sys.version_info < (3, 13, 6):
        pytest.skip("asyncio's writelines sent into the closed socket before 3.13.6")
    world.run(main)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads memory in /proc")
@pytest.mark.parametrize("driver", driver_names())
def test_memory_comes_back_after_a_flood(driver: str) -> None:
    """uvloop 548: what stood in a transport's queue is given back when the connection is closed, though the loop goes on."""
    status, out, err = run_script(
        """
        import asyncio, gc, os, socket
        import cede
        PAGE = os.sysconf("SC_PAGE_SIZE")
        def resident():
            gc.collect()
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * PAGE
        async def flood(count):
            loop = asyncio.get_running_loop()
            held = []
            for _ in range(count):
                one, other = socket.socketpair()
                one.setblocking(False)
                transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
                for _ in range(32):
                    transport.write(os.urandom(1 << 18))
                held.append((transport, other))
            most = resident()
            for transport, other in held:
                transport.abort()
                other.close()
            del transport
            held.clear()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return most
        async def main():
            await flood(2)
            before = resident()
            for _ in range(3):
                most = await flood(12)
                after = resident()
                assert most - before > 80 << 20, (before, most)
                assert after - before < 12 << 20, (before, most, after)
            return "given back"
        print(cede.run(main()))
        """,
        CEDE_DRIVER=driver,
        **GIVEN_BACK,
    )
    assert (status, out) == (0, "given back\n"), err


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads memory in /proc")
@pytest.mark.parametrize("driver", driver_names())
def test_memory_comes_back_after_many_tls_connections(driver: str) -> None:
    """cpython 109534, uvloop 565: hundreds at once, each of which has sent something, and all dropped; three times over."""
    status, out, err = run_script(
        """
        import asyncio, gc, os
        import cede
        from tests.support.certificates import client_context, server_context
        PAGE = os.sysconf("SC_PAGE_SIZE")
        def resident():
            gc.collect()
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * PAGE
        class Echo(asyncio.Protocol):
            def connection_made(self, transport):
                self.transport = transport
            def data_received(self, data):
                self.transport.write(data)
        class Client(asyncio.Protocol):
            def __init__(self):
                self.answered = asyncio.get_running_loop().create_future()
                self.count = 0
            def data_received(self, data):
                self.count += len(data)
                if self.count >= 20_000 and not self.answered.done():
                    self.answered.set_result(None)
        async def crowd(count):
            loop = asyncio.get_running_loop()
            server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=server_context())
            address = server.sockets[0].getsockname()
            context = client_context()
            made = []
            for _ in range(0, count, 20):
                made += await asyncio.gather(
                    *[loop.create_connection(Client, *address, ssl=context, server_hostname="localhost") for _ in range(20)]
                )
            for transport, protocol in made:
                transport.write(bytes(20_000))
            for transport, protocol in made:
                await protocol.answered
            most = resident()
            for transport, protocol in made:
                transport.abort()
            made.clear()
            del transport, protocol
            server.close()
            await server.wait_closed()
            await asyncio.sleep(0)
            return most
        async def main():
            await crowd(300)
            before = resident()
            for _ in range(3):
                most = await crowd(300)
                after = resident()
            # What the allocator keeps of it does not grow with the number of crowds.
            assert after - before < 8 << 20, (before, most, after)
            return "given back"
        print(cede.run(main()))
        """,
        CEDE_DRIVER=driver,
        **GIVEN_BACK,
    )
    assert (status, out) == (0, "given back\n"), err


@each_world
def test_a_buffered_protocol_over_tls_is_asked_seldom(world: World) -> None:
    """cpython 133112: a large transfer costs few calls of a protocol with a buffer of its own, not one for each small piece."""
    size = 4 << 20

    async def main() -> int:
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        class Source(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                transport.write(bytes(size))

        class Sink(asyncio.BufferedProtocol):
            def __init__(self) -> None:
                self.memory = bytearray(1 << 18)
                self.asked = self.received = 0

            def get_buffer(self, sizehint: int) -> memoryview:
                self.asked += 1
                return memoryview(self.memory)

            def buffer_updated(self, count: int) -> None:
                self.received += count
                if self.received == size:
                    ended.set_result(None)

        server = await loop.create_server(Source, "127.0.0.1", 0, ssl=server_context())
        transport, protocol = await loop.create_connection(
            Sink, *server.sockets[0].getsockname(), ssl=client_context(), server_hostname="localhost"
        )
        await ended
        transport.abort()
        server.close()
        await server.wait_closed()
        await turns(3)
        return protocol.asked

    # A record holds 16 KiB; asyncio asks twice a record or so.
    asked = world.run(main)
    assert asked < (2 if world.ours else 8) * size // (16 << 10)


# -- TLS peers that mean no good


HEADER = b"\x16\x03\x01\x40\x00"  # a handshake record of 16 KiB is announced


@pytest.mark.parametrize(
    "says",
    [b"", b"\x16", HEADER, HEADER + b"\x01", HEADER + b"\x01" + bytes(1000), b"\x16\x03\x01\x00\x01\x01", b"\x16\x03\x01\x00\x00"],
    ids=["nothing", "a byte", "a header", "header and type", "a part", "a byte of a message", "an empty record"],
)
@each_of_ours
def test_a_tls_peer_that_stalls_costs_no_turns(world: World, says: bytes) -> None:
    """cpython 88202, cpython 87107: whatever it began with, a peer that goes silent is waited for asleep, until its deadline."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=server_context(), ssl_handshake_timeout=0.5)
        with socket.create_connection(server.sockets[0].getsockname()) as sock:
            sock.sendall(says)
            await asyncio.sleep(0.02)
            before = loop.steps
            await asyncio.sleep(0.05)
            assert loop.steps - before < 10
            sock.setblocking(False)
            while await loop.sock_recv(sock, 1000):  # in the end it is sent away, with an alert or without
                pass
        server.close()
        await server.wait_closed()

    world.run(main)


@each_of_ours
def test_a_tls_peer_that_floods_in_its_handshake(world: World) -> None:
    """cpython 88202: endless bytes of a handshake that never becomes one are refused, and others are served meanwhile."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()

        class Echo(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def data_received(self, data: bytes) -> None:
                self.transport.write(data)

        server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=server_context(), ssl_handshake_timeout=5)
        address = server.sockets[0].getsockname()
        hostile = [socket.create_connection(address) for _ in range(10)]
        for sock in hostile:
            sock.setblocking(False)

        async def flood(sock: socket.socket) -> None:
            record = b"\x16\x03\x01\x04\x00\x01\x00\x03\xfc" + os.urandom(1020)
            with pytest.raises(OSError):
                while True:
                    await loop.sock_sendall(sock, record * 50)

        floods = [asyncio.create_task(flood(sock)) for sock in hostile]
        reader, writer = await asyncio.open_connection(*address, ssl=client_context(), server_hostname="localhost")
        for _ in range(20):
            writer.write(b"ping")
            assert await reader.readexactly(4) == b"ping"
        writer.close()
        await asyncio.gather(*floods)
        for sock in hostile:
            sock.close()
        server.close()
        await server.wait_closed()

    world.run(main)


@each_of_ours
@pytest.mark.skipif(not hasattr(ssl, "TLSVersion"), reason="needs TLS 1.2 to ask for")
def test_a_tls_peer_that_sends_records_of_nothing(world: World) -> None:
    """cpython 87107: garbage behind a good handshake ends that connection alone, at once."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        notes: list[Notes] = []

        def factory() -> Notes:
            notes.append(Notes())
            return notes[-1]

        server = await loop.create_server(factory, "127.0.0.1", 0, ssl=server_context())
        transport, _ = await loop.create_connection(
            asyncio.Protocol, *server.sockets[0].getsockname(), ssl=client_context(), server_hostname="localhost"
        )
        await until(lambda: notes)
        raw = transport.get_extra_info("socket")
        os.write(raw.fileno(), b"\x17\x03\x03\x00\x00" * 1000)
        await notes[0].lost
        assert notes[0].told[-1] == "lost"
        transport.abort()
        server.close()
        await server.wait_closed()
        await turns(3)

    world.run(main)
