"""Datagram endpoints: who owns the descriptor, and what is left when they end."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from typing import Any

import pytest

from tests.support.datagram_endpoints import endpoint, finish
from tests.support.driver_worlds import OURS, WORLDS, World, turns

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


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
