"""What a datagram endpoint says of errors: the network's, the caller's, the protocol's."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from tests.support.datagram_endpoints import Datagrams, endpoint, finish
from tests.support.driver_worlds import OURS, WORLDS, World, reports

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


@each_world
def test_nobody_there(world: World) -> None:
    """Regression 70: a refusal is told, and the endpoint goes on (uvloop 338, uvloop 601, uvloop 319, uvloop 109, uvloop 196)."""

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
    """Too large, no permission to broadcast, a name of the wrong family: all told, and the endpoint goes on (uvloop 338)."""

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
