"""Datagram endpoints whose socket is full."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.datagram_endpoints import Datagrams, endpoint, finish
from tests.support.driver_worlds import OURS, WORLDS, World, turns, until

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


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
    """Regression 71: the receiver goes away; each queued datagram is told as an error, and the protocol may go on (cpython 156698)."""

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
