"""Datagram endpoints: how they are made, what arrives and what leaves."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.datagram_endpoints import Datagrams, endpoint, finish
from tests.support.driver_worlds import OURS, WORLDS, World, turns

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


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
    """uvloop 338: datagrams: errors are told, the socket stays."""

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


# -- making endpoints


@each_world
def test_a_socket_of_the_programs_own(world: World) -> None:
    """uvloop 338: datagrams: errors are told, the socket stays."""

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
    """Regression 9 (doh-proxy 76)."""

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
