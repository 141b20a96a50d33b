"""Datagram endpoints: what arrives, what leaves, in which order, and when they end."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import gc
import os
import socket
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.driver_worlds import OURS, WORLDS, World, reports, turns, until

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


class Datagrams(asyncio.DatagramProtocol):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.received: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def note(self, word: str) -> None:
        if not self.told or self.told[-1] != word:
            self.told.append(word)

    def connection_made(self, transport: Any) -> None:
        self.note("made")
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        assert type(data) is bytes
        self.note("data")
        self.received.put_nowait((data, address))

    def error_received(self, error: Exception) -> None:
        self.note("error")
        self.errors.put_nowait(error)

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.note("lost")
        self.lost.set_result(error)


async def endpoint(protocol: Any = Datagrams, **options: Any) -> tuple[Any, Any]:
    return await asyncio.get_running_loop().create_datagram_endpoint(protocol, **options)


async def finish(*transports: Any) -> None:
    for transport in transports:
        transport.close()
    await turns(3)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


HOSTS = ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here"))]


# -- the plain way


@each_world
@pytest.mark.parametrize("host", HOSTS)
def test_back_and_forth(world: World, host: str) -> None:
    async def main() -> None:
        server, at_server = await endpoint(local_addr=(host, 0))
        address = server.get_extra_info("sockname")
        client, at_client = await endpoint(remote_addr=address[:2])
        for number in range(100):
            client.sendto(b"%d" % number)
            data, sender = await at_server.received.get()
            assert data == b"%d" % number
            assert sender == client.get_extra_info("sockname")
            server.sendto(data, sender)
            assert await at_client.received.get() == (data, address)
        await finish(client, server)

    world.run(main)


@each_world
def test_between_unix_sockets(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        paths = [str(tmp_path / name) for name in ("one", "other")]
        for _ in range(2):  # the second time the first's socket files are found
            one, _ = await endpoint(local_addr=paths[0], family=socket.AF_UNIX)
            other, at_other = await endpoint(local_addr=paths[1], family=socket.AF_UNIX)
            one.sendto(b"hello", paths[1])
            assert await at_other.received.get() == (b"hello", paths[0])
            nameless, _ = await endpoint(remote_addr=paths[1], family=socket.AF_UNIX)
            nameless.sendto(b"who am I?")
            assert await at_other.received.get() == (b"who am I?", None)
            await finish(one, other, nameless)

    world.run(main)


@each_world
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="abstract addresses are Linux's")
def test_abstract_unix_addresses(world: World) -> None:
    async def main() -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(b"\0cede-test-%d" % os.getpid())
        one, at_one = await endpoint(sock=sock)
        address = one.get_extra_info("sockname")
        other, _ = await endpoint(sock=socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        other.sendto(b"x", address)
        assert await at_one.received.get() == (b"x", None)
        one.sendto(b"to myself", address)
        assert await at_one.received.get() == (b"to myself", address)
        await finish(one, other)

    world.run(main)


@each_of_ours
def test_a_pair_of_unix_sockets(world: World) -> None:
    """Connected, though their names are empty."""

    async def main() -> None:
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        transport, protocol = await endpoint(sock=near)
        transport.sendto(b"there")
        assert far.recv(100) == b"there"
        far.send(b"back")
        assert (await protocol.received.get())[0] == b"back"
        far.close()
        await finish(transport)

    world.run(main)


@each_world
def test_what_it_tells_of_itself(world: World) -> None:
    async def main() -> None:
        server, at_server = await endpoint(local_addr=("127.0.0.1", 0))
        client, at_client = await endpoint(remote_addr=server.get_extra_info("sockname"))
        assert isinstance(client, asyncio.Transport)
        if world.ours or sys.version_info >= (3, 12):
            assert isinstance(client, asyncio.DatagramTransport)
        for transport, protocol in ((client, at_client), (server, at_server)):
            sock = transport.get_extra_info("socket")
            assert sock.type == socket.SOCK_DGRAM
            assert transport.get_extra_info("sockname") == sock.getsockname()
            assert transport.get_extra_info("nothing", "else") == "else"
            assert not transport.is_closing()
            assert transport.get_protocol() is protocol
            assert transport.get_write_buffer_size() == 0
            assert transport.get_write_buffer_limits() == (16384, 65536)
            assert f"fd={sock.fileno()}" in repr(transport)
            assert protocol.told == ["made"]
            assert transport._sock_fd == sock.fileno()
            assert transport._extra["sockname"] == sock.getsockname()
        assert client.get_extra_info("peername") == client._address == server.get_extra_info("sockname")
        assert server.get_extra_info("peername") is None is server._address
        name = client.get_extra_info("sockname")
        client.close()
        client.close()
        assert client.is_closing()
        assert at_client.told == ["made"]
        assert await at_client.lost is None
        await turns(2)
        assert client.get_extra_info("sockname") == name
        assert "closed" in repr(client)
        server.abort()
        server.abort()
        assert await at_server.lost is None
        client.close()
        await turns(3)
        assert at_client.told == at_server.told == ["made", "lost"]

    world.run(main)


@each_world
def test_callbacks_run_where_the_endpoint_was_made(world: World) -> None:
    mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="unset")

    class Marked(Datagrams):
        def note(self, word: str) -> None:
            super().note(f"{word} {mark.get()}")

    async def main() -> None:
        mark.set("ours")
        transport, protocol = await endpoint(Marked, local_addr=("127.0.0.1", 0))
        mark.set("theirs")
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.sendto(b"x", transport.get_extra_info("sockname"))
            await protocol.received.get()
        await finish(transport)
        # asyncio makes connection_lost's context when close() is called.
        assert protocol.told[:2] == ["made ours", "data ours"]
        if world.ours:
            assert protocol.told[2] == "lost ours"

    world.run(main)


@each_world
def test_another_protocol_takes_over(world: World) -> None:
    async def main() -> None:
        transport, first = await endpoint(local_addr=("127.0.0.1", 0))
        second = Datagrams()
        transport.set_protocol(second)
        assert transport.get_protocol() is second
        transport.sendto(b"x", transport.get_extra_info("sockname"))
        assert (await second.received.get())[0] == b"x"
        transport.close()
        await second.lost
        assert first.told == ["made"]

    world.run(main)


# -- sizes


@each_world
def test_datagrams_of_all_sizes(world: World) -> None:
    async def main() -> None:
        server, at_server = await endpoint(local_addr=("127.0.0.1", 0))
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            for size in (0, 1, 1472, 9000, 65507, 0, 3):
                data = os.urandom(size)
                sock.sendto(data, server.get_extra_info("sockname"))
                assert (await at_server.received.get())[0] == data
        await finish(server)

    world.run(main)


@each_world
def test_an_empty_datagram_is_sent(world: World) -> None:
    if not world.ours and sys.version_info < (3, 13):
        pytest.skip("asyncio drops it before Python 3.13")

    async def main() -> None:
        server, at_server = await endpoint(local_addr=("127.0.0.1", 0))
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        for data in (b"", bytearray(), b"x", memoryview(b"")):
            client.sendto(data)
            assert (await at_server.received.get())[0] == bytes(data)
        await finish(server, client)

    world.run(main)


@each_world
def test_large_unix_datagrams(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "socket")
        server, at_server = await endpoint(local_addr=path, family=socket.AF_UNIX)
        client, _ = await endpoint(remote_addr=path, family=socket.AF_UNIX)
        for size in (100_000, 1, 200_000, 200_000):
            data = os.urandom(size)
            client.sendto(data)
            assert (await at_server.received.get())[0] == data
        await finish(client, server)

    world.run(main)


@each_world
def test_bytes_in_every_shape(world: World) -> None:
    async def main() -> None:
        transport, protocol = await endpoint(local_addr=("127.0.0.1", 0))
        address = transport.get_extra_info("sockname")
        shapes: list[Any] = [bytearray(b"ab"), memoryview(b"abc")[1:], memoryview(b"abcdefgh").cast("I")]
        if world.ours:
            shapes.append(memoryview(b"a-b-c-")[::2])
        for data in shapes:
            transport.sendto(data, address)
            assert (await protocol.received.get())[0] == bytes(data)
        for junk in ("text", 5, None, [b"x"]):
            with pytest.raises(TypeError, match="bytes-like object"):
                transport.sendto(junk, address)
        await finish(transport)

    world.run(main)


# -- batches


@each_world
def test_a_burst_is_told_in_order(world: World) -> None:
    async def main() -> None:
        server, at_server = await endpoint(local_addr=("127.0.0.1", 0))
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
            for sock in (one, other):
                sock.bind(("127.0.0.1", 0))
                sock.connect(server.get_extra_info("sockname"))
            for burst in (1, 2, 5, 33, 100, 1, 40):
                for number in range(burst):
                    (one, other)[number % 2].send(b"%d" % number)
                for number in range(burst):
                    assert await at_server.received.get() == (b"%d" % number, (one, other)[number % 2].getsockname())
        await finish(server)

    world.run(main)


@each_world
def test_what_came_between_two_runs_finds_the_second_one_prepared(world: World) -> None:
    """The run's own task has its first step before a datagram is told that was there already."""
    order: list[str] = []

    class Late(Datagrams):
        def datagram_received(self, data: bytes, address: Any) -> None:
            super().datagram_received(data, address)
            order.append("datagram")

    async def start() -> Any:
        return await endpoint(Late, local_addr=("127.0.0.1", 0))

    async def prepare() -> None:
        order.append("task")
        await protocol.received.get()

    loop = world.new_loop()
    transport, protocol = loop.run_until_complete(start())
    for _ in range(3):
        transport.sendto(b"x", transport.get_extra_info("sockname"))
        loop.run_until_complete(prepare())
    assert order == ["task", "datagram"] * 3
    transport.close()
    loop.run_until_complete(protocol.lost)
    loop.close()


@each_world
@pytest.mark.parametrize("way", ["close", "abort"])
def test_nothing_is_told_after_the_end(world: World, way: str) -> None:
    """Also not the rest of a batch in whose middle the protocol closed the transport."""

    class Once(Datagrams):
        def datagram_received(self, data: bytes, address: Any) -> None:
            super().datagram_received(data, address)
            if self.received.qsize() == 18:
                getattr(self.transport, way)()

    async def main() -> None:
        transport, protocol = await endpoint(Once, local_addr=("127.0.0.1", 0))
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            for _ in range(40):
                sock.sendto(b"x", transport.get_extra_info("sockname"))
        assert await protocol.lost is None
        await turns(3)
        assert protocol.received.qsize() == 18
        assert protocol.told == ["made", "data", "lost"]

    world.run(main)


@each_world
def test_an_interrupt_loses_no_datagram(world: World) -> None:
    class Interrupted(Datagrams):
        def datagram_received(self, data: bytes, address: Any) -> None:
            super().datagram_received(data, address)
            if self.received.qsize() in (5, 9, 20):
                raise KeyboardInterrupt

    async def start() -> Any:
        return await endpoint(Interrupted, local_addr=("127.0.0.1", 0))

    loop = world.new_loop()
    transport, protocol = loop.run_until_complete(start())
    interrupts = 0
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        for number in range(40):
            sock.sendto(b"%d" % number, transport.get_extra_info("sockname"))
    while protocol.received.qsize() < 40:
        try:
            loop.call_soon(loop.stop)
            loop.run_forever()
        except KeyboardInterrupt:
            interrupts += 1
    assert interrupts == 3
    assert [protocol.received.get_nowait()[0] for _ in range(40)] == [b"%d" % number for number in range(40)]
    transport.close()
    loop.run_until_complete(protocol.lost)
    loop.close()


# -- flow control


@pytest.fixture
def full(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A Unix datagram socket that receives when it is asked to, and its path."""
    path = str(tmp_path / "slow")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.setblocking(False)
        yield sock, path


def fill(transport: Any, address: Any = None, size: int = 1000) -> int:
    """Send numbered datagrams until some are queued; how many were sent."""
    count = 0
    while transport.get_write_buffer_size() < 5 * size:
        transport.sendto(b"%d " % count + bytes(size), address)
        count += 1
        assert count < 10_000
    return count


async def drain(sock: socket.socket, count: int) -> list[int]:
    """The numbers of the next datagrams, taken one a turn."""
    numbers: list[int] = []
    async with asyncio.timeout(10):
        while len(numbers) < count:
            try:
                numbers.append(int(sock.recv(65536).split(b" ")[0]))
            except BlockingIOError:
                await asyncio.sleep(0)
    return numbers


@each_world
@pytest.mark.parametrize("connected", [True, False])
def test_a_full_socket_queues_in_order(world: World, full: tuple[socket.socket, str], connected: bool) -> None:
    async def main() -> None:
        sock, path = full
        transport, protocol = await endpoint(**({"remote_addr": path} if connected else {}), family=socket.AF_UNIX)
        transport.set_write_buffer_limits(high=3000, low=500)
        address = None if connected else path
        for _ in range(3):
            count = fill(transport, address)
            assert protocol.told[-1] == "pause"
            if world.ours:
                transport.sendto(b"%d " % count, address)
                count += 1
            assert await drain(sock, count) == list(range(count))
            await until(lambda: protocol.told[-1] == "resume")
            assert transport.get_write_buffer_size() == 0 or not world.ours  # asyncio forgets a few bytes, on 3.13
        assert protocol.errors.empty()
        await finish(transport)

    world.run(main)


@each_world
def test_closing_sends_what_is_queued(world: World, full: tuple[socket.socket, str]) -> None:
    async def main() -> None:
        sock, path = full
        transport, protocol = await endpoint(remote_addr=path, family=socket.AF_UNIX)
        count = fill(transport)
        transport.close()
        assert transport.is_closing()
        await turns(3)
        assert not protocol.lost.done()
        assert await drain(sock, count) == list(range(count))
        assert await protocol.lost is None
        assert protocol.told[-1] == "lost"

    world.run(main)


@each_world
def test_aborting_drops_what_is_queued(world: World, full: tuple[socket.socket, str]) -> None:
    async def main() -> None:
        sock, path = full
        transport, protocol = await endpoint(remote_addr=path, family=socket.AF_UNIX)
        count = fill(transport)
        transport.abort()
        assert await protocol.lost is None
        assert transport.get_write_buffer_size() == 0 or not world.ours
        received = 0
        while True:
            try:
                received += bool(sock.recv(65536))
            except BlockingIOError:
                break
        assert received < count

    world.run(main)


@each_of_ours
def test_an_error_while_the_queue_is_full_resumes_the_protocol(world: World, full: tuple[socket.socket, str]) -> None:
    """Regression 71: the receiver goes away; each queued datagram is told as an error, and the protocol may go on."""

    async def main() -> None:
        sock, path = full
        transport, protocol = await endpoint(family=socket.AF_UNIX)
        transport.set_write_buffer_limits(high=3000)
        fill(transport, path)
        queued = len(transport._buffer)
        assert protocol.told[-1] == "pause"
        sock.close()
        os.unlink(path)
        for _ in range(queued):
            assert isinstance(await protocol.errors.get(), (FileNotFoundError, ConnectionRefusedError))
        await until(lambda: "resume" in protocol.told)
        assert transport.get_write_buffer_size() == 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:
            again.bind(path)
            transport.sendto(b"still here", path)
            assert again.recv(100) == b"still here"
        await finish(transport)

    world.run(main)


@each_of_ours
def test_waiting_for_somebody_elses_queue_does_not_spin(world: World, full: tuple[socket.socket, str]) -> None:
    """A Unix socket that is connected to nobody is always writable, says the system; the driver must not believe it for ever."""
    WRITE = 2

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        sock, path = full
        transport, _ = await endpoint(family=socket.AF_UNIX)
        count = fill(transport, path)
        channel = loop.driver.channels[transport._sock_fd]
        await until(lambda: not channel.armed & WRITE)
        assert await drain(sock, count) == list(range(count))
        await until(lambda: not transport.get_write_buffer_size())
        assert not channel.wanted & WRITE
        fill(transport, path)
        await until(lambda: not channel.armed & WRITE)
        transport.abort()  # while the driver rests
        await turns(3)

    world.run(main)


@each_of_ours
def test_closing_inside_flow_control(world: World, full: tuple[socket.socket, str]) -> None:
    class Closing(Datagrams):
        def resume_writing(self) -> None:
            super().resume_writing()
            self.transport.close()
            self.transport.abort()

    async def main() -> None:
        sock, path = full
        transport, protocol = await endpoint(Closing, remote_addr=path, family=socket.AF_UNIX)
        transport.set_write_buffer_limits(high=3000)
        count = fill(transport)
        assert len(await drain(sock, count)) == count
        await protocol.lost
        await turns(3)
        assert protocol.told == ["made", "pause", "resume", "lost"]

    world.run(main)


# -- errors


@each_world
def test_nobody_there(world: World) -> None:
    """Regression 70: a refusal is told, and the endpoint goes on."""

    async def main() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            address = sock.getsockname()
        transport, protocol = await endpoint(remote_addr=address)
        for _ in range(3):
            transport.sendto(b"anybody?")
            assert isinstance(await protocol.errors.get(), ConnectionRefusedError)
            assert not transport.is_closing()
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(address)
            transport.sendto(b"now?")
            assert sock.recv(100) == b"now?"
            sock.sendto(b"yes", transport.get_extra_info("sockname"))
            assert await protocol.received.get() == (b"yes", address)
        await finish(transport)
        assert protocol.told == ["made", "error", "data", "lost"]

    world.run(main)


@each_world
def test_an_endpoint_that_is_connected_to_nobody_hears_no_refusals(world: World) -> None:
    async def main() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            address = sock.getsockname()
        transport, protocol = await endpoint(local_addr=("127.0.0.1", 0))
        transport.sendto(b"anybody?", address)
        transport.sendto(b"me", transport.get_extra_info("sockname"))
        assert (await protocol.received.get())[0] == b"me"
        assert protocol.errors.empty()
        await finish(transport)

    world.run(main)


@each_world
def test_what_the_network_refuses(world: World) -> None:
    """Too large, no permission to broadcast, a name of the wrong family: all told, and the endpoint goes on."""

    async def main() -> None:
        transport, protocol = await endpoint(local_addr=("127.0.0.1", 0))
        for data, address, number in (
            (bytes(70_000), ("127.0.0.1", 9), errno.EMSGSIZE),
            (b"x", ("255.255.255.255", 9), None),
            (b"x", ("127.255.255.255", 9), errno.EACCES),
            (b"x", ("::1", 9), socket.EAI_ADDRFAMILY),
        ):
            transport.sendto(data, address)
            error = protocol.errors.get_nowait()
            assert isinstance(error, OSError)
            assert number in (None, error.errno)
        transport.sendto(b"me", transport.get_extra_info("sockname"))
        assert (await protocol.received.get())[0] == b"me"
        await finish(transport)

    world.run(main)


@each_world
def test_addresses_that_are_not_the_remote_one(world: World) -> None:
    async def main() -> None:
        server, at_server = await endpoint(local_addr=("127.0.0.1", 0))
        address = server.get_extra_info("sockname")
        client, _ = await endpoint(remote_addr=address)
        with pytest.raises(ValueError, match="Invalid address: must be None or"):
            client.sendto(b"x", ("127.0.0.2", 9))
        client.sendto(b"equal", (*address,))
        assert (await at_server.received.get())[0] == b"equal"
        await finish(client, server)

    world.run(main)


@each_of_ours
@pytest.mark.parametrize("queued", [False, True])
def test_what_is_no_address_is_refused_at_once(world: World, queued: bool) -> None:
    """asyncio closes the transport for it."""

    async def main() -> None:
        transport, protocol = await endpoint(local_addr=("127.0.0.1", 0))
        if queued:
            transport._buffer.append((b"", None))  # what follows is queued behind it
        for junk in ("127.0.0.1", ("127.0.0.1",), ("127.0.0.1", "80"), 5, ("127.0.0.1", 80, 0), None, (None, 80), ["127.0.0.1", 80]):
            with pytest.raises(TypeError):
                transport.sendto(b"x", junk)
        for port in (-1, 65536, 10**30):
            with pytest.raises(OverflowError):
                transport.sendto(b"x", ("127.0.0.1", port))
        transport._buffer.clear()
        assert not transport.is_closing()
        transport.sendto(b"me", transport.get_extra_info("sockname"))
        assert (await protocol.received.get())[0] == b"me"
        await finish(transport)

    world.run(main)


@each_world
@pytest.mark.parametrize("where", ["datagram_received", "error_received", "connection_made"])
def test_what_the_protocol_raises_is_reported_and_changes_nothing(world: World, where: str) -> None:
    if where == "error_received" and not world.ours:
        pytest.skip("asyncio lets it out of sendto()")

    class Failing(Datagrams):
        pass

    def fail(self: Any, *args: Any) -> None:
        getattr(Datagrams, where)(self, *args)
        raise ValueError("from the protocol")

    setattr(Failing, where, fail)

    async def main() -> None:
        with reports() as told:
            transport, protocol = await endpoint(Failing, local_addr=("127.0.0.1", 0))
            address = transport.get_extra_info("sockname")
            transport.sendto(b"x", address)
            await protocol.received.get()
            transport.sendto(bytes(70_000), address)
            await protocol.errors.get()
            transport.sendto(b"y", address)
            await protocol.received.get()
            await finish(transport)
        assert told
        assert all(str(context["exception"]) == "from the protocol" for context in told)
        assert await protocol.lost is None

    world.run(main)


@each_of_ours
def test_a_socket_that_somebody_else_closes(world: World) -> None:
    async def main() -> None:
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        transport, protocol = await endpoint(sock=sock)
        address = sock.getsockname()
        sock.close()
        transport.sendto(b"x", address)
        error = await protocol.errors.get()
        assert isinstance(error, OSError)
        assert error.errno == errno.EBADF
        with socket.socket(type=socket.SOCK_DGRAM) as other:  # takes the number
            again, at_again = await endpoint(sock=other)
            other.bind(address)
            again.sendto(b"mine", address)
            assert (await at_again.received.get())[0] == b"mine"
            transport.close()
            await protocol.lost
            again.sendto(b"still mine", address)
            assert (await at_again.received.get())[0] == b"still mine"
            await finish(again)

    world.run(main)


# -- ownership and the end


@each_world
def test_the_descriptor_has_one_owner(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        sock = socket.socket(type=socket.SOCK_DGRAM)
        transport, _ = await endpoint(sock=sock)
        for call in (lambda: loop.add_reader(sock, print), lambda: loop.add_writer(sock.fileno(), print), lambda: loop.remove_reader(sock)):
            with pytest.raises(RuntimeError, match="is used by transport"):
                call()
        if world.ours:
            with pytest.raises(RuntimeError, match="is used by transport"):
                await endpoint(sock=sock)
            with pytest.raises(RuntimeError, match="is used by transport"):
                await loop.sock_recvfrom(sock, 10)
        await finish(transport)
        assert sock.fileno() == -1

    world.run(main)


@each_world
def test_after_the_end_everything_is_dropped(world: World) -> None:
    async def main() -> None:
        server, _ = await endpoint(local_addr=("127.0.0.1", 0))
        client, protocol = await endpoint(remote_addr=server.get_extra_info("sockname"))
        client.close()
        for _ in range(10):
            client.sendto(b"too late")
        await protocol.lost
        await turns(2)
        client.sendto(b"too late")
        client.abort()
        await finish(server)
        assert protocol.told == ["made", "lost"]

    world.run(main)


@each_of_ours
def test_a_finished_endpoint_needs_no_collector(world: World) -> None:
    async def main() -> None:
        transport, protocol = await endpoint(local_addr=("127.0.0.1", 0))
        transport.sendto(b"x", transport.get_extra_info("sockname"))
        await protocol.received.get()
        gone = weakref.ref(transport)
        transport.close()
        await protocol.lost
        await turns(2)
        del transport, protocol
        assert gone() is None

    gc.disable()
    try:
        world.run(main)
    finally:
        gc.enable()


@each_of_ours
def test_a_closed_loop_with_an_open_endpoint(world: World) -> None:
    loop = world.new_loop()

    async def main() -> Any:
        return await endpoint(local_addr=("127.0.0.1", 0))

    transport, protocol = loop.run_until_complete(main())
    loop.close()
    sock = transport._sock
    with pytest.raises(RuntimeError, match="closed"):
        transport.close()
    assert sock.fileno() == -1
    del transport, protocol
    gc.collect()


@each_of_ours
def test_a_dropped_endpoint_of_a_closed_loop_says_so(world: World) -> None:
    loop = world.new_loop()

    async def main() -> Any:
        return await endpoint(local_addr=("127.0.0.1", 0))

    transport, protocol = loop.run_until_complete(main())
    loop.close()
    sock = transport._sock
    with pytest.warns(ResourceWarning, match="unclosed transport"):
        del transport, protocol, main
        gc.collect()
    assert sock.fileno() == -1


# -- making endpoints


@each_world
def test_a_socket_of_the_programs_own(world: World) -> None:
    async def main() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            sock = socket.socket(type=socket.SOCK_DGRAM)
            sock.connect(peer.getsockname())
            transport, protocol = await endpoint(sock=sock)
            assert transport.get_extra_info("peername") == peer.getsockname()
            transport.sendto(b"to the peer")
            assert peer.recv(100) == b"to the peer"
            peer.sendto(b"back", sock.getsockname())
            assert await protocol.received.get() == (b"back", peer.getsockname())
            await finish(transport)
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as other:
            with pytest.raises(ValueError, match=r"[sS]ocket was expected"):
                await endpoint(sock=stream)
            for option in ({"reuse_port": True}, {"allow_broadcast": True}, {"remote_addr": ("127.0.0.1", 9)}, {"flags": 1}):
                with pytest.raises(ValueError, match="can not be used when sock is specified"):
                    await endpoint(sock=other, **option)
            assert other.fileno() >= 0

    world.run(main)


@each_world
def test_a_socket_class_of_the_programs_own(world: World) -> None:
    class Counting(socket.socket):
        sent = 0

        def sendto(self, *args: Any) -> int:
            self.sent += 1
            return super().sendto(*args)

    async def main() -> None:
        sock = Counting(type=socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        transport, protocol = await endpoint(sock=sock)
        for number in range(40):
            transport.sendto(b"%d" % number, sock.getsockname())
        for number in range(40):
            assert (await protocol.received.get())[0] == b"%d" % number
        assert sock.sent == 40
        await finish(transport)

    world.run(main)


@each_world
def test_broadcast(world: World) -> None:
    async def main() -> None:
        server, at_server = await endpoint(local_addr=("0.0.0.0", 0))
        port = server.get_extra_info("sockname")[1]
        free, _ = await endpoint(local_addr=("127.0.0.1", 0), allow_broadcast=True)
        bound, _ = await endpoint(remote_addr=("127.255.255.255", port), allow_broadcast=True)
        free.sendto(b"to all", ("127.255.255.255", port))
        assert (await at_server.received.get())[0] == b"to all"
        bound.sendto(b"to all of them")
        assert (await at_server.received.get())[0] == b"to all of them"
        assert bound.get_extra_info("peername") is None
        with pytest.raises(ValueError, match="Invalid address"):
            bound.sendto(b"x", ("127.0.0.1", port))
        await finish(server, free, bound)

    world.run(main)


@each_world
def test_several_endpoints_on_one_port(world: World) -> None:
    async def main() -> None:
        one, _ = await endpoint(local_addr=("127.0.0.1", 0), reuse_port=True)
        other, _ = await endpoint(local_addr=one.get_extra_info("sockname"), reuse_port=True)
        with pytest.raises(OSError, match="in use"):
            await endpoint(local_addr=one.get_extra_info("sockname"))
        await finish(one, other)

    world.run(main)


@each_world
def test_bad_arguments(world: World) -> None:
    async def main() -> None:
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
                await endpoint(**arguments)

    world.run(main)


@each_world
def test_an_option_that_asyncio_had_once(world: World) -> None:
    async def main() -> None:
        if not world.ours:
            return  # it does not know it any more
        with pytest.raises(ValueError, match="reuse_address"):
            await endpoint(local_addr=("127.0.0.1", 0), reuse_address=True)
        with pytest.warns(DeprecationWarning, match="reuse_address"):
            transport, _ = await endpoint(local_addr=("127.0.0.1", 0), reuse_address=False)
        await finish(transport)

    world.run(main)


@each_world
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors in /proc")
def test_a_cancelled_endpoint_leaves_no_descriptor(world: World) -> None:
    """Regression 9."""

    async def main() -> None:
        before = set(os.listdir("/proc/self/fd"))
        for steps in range(6):
            making = asyncio.ensure_future(endpoint(local_addr=("127.0.0.1", 0), remote_addr=("127.0.0.1", 9)))
            await turns(steps)
            making.cancel()
            try:
                transport, protocol = await making
            except asyncio.CancelledError:
                pass
            else:
                transport.close()
                await protocol.lost
            await turns(4)
            gc.collect()
        assert set(os.listdir("/proc/self/fd")) == before

    world.run(main)
