"""Datagrams of all sizes, and many at once."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.datagram_endpoints import Datagrams, endpoint, finish
from tests.support.driver_worlds import WORLDS, World, turns

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)


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
