"""Transports that nobody refers to any more: where they want nothing they go, give their descriptors back, and say so, as asyncio's do."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.certificates import client_context, server_context
from tests.support.driver_worlds import OURS, WORLDS, Notes, World, turns
from tests.support.processes import needs_proc

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)

pytestmark = needs_proc


class Quiet(asyncio.Protocol):
    pass


class PausedAtOnce(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.pause_reading()


async def paused_connection(keep: list[Any]) -> Any:
    near, far = socket.socketpair()
    keep.append(far)
    transport, _ = await asyncio.get_running_loop().create_connection(Quiet, sock=near)
    transport.pause_reading()
    return transport


async def resumed_and_paused_again(keep: list[Any]) -> Any:
    transport = await paused_connection(keep)
    for _ in range(3):
        transport.resume_reading()
        await turns(2)
        transport.pause_reading()
    transport.write(b"x")
    return transport


async def paused_from_the_first(keep: list[Any]) -> Any:
    near, far = socket.socketpair()
    keep.append(far)
    transport, _ = await asyncio.get_running_loop().create_connection(PausedAtOnce, sock=near)
    return transport


async def half_closed(keep: list[Any]) -> Any:
    """The peer sends no more, and the protocol keeps its own direction open."""
    near, far = socket.socketpair()
    keep.append(far)
    protocol = Notes()
    protocol.keep_open = True
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, sock=near)
    far.shutdown(socket.SHUT_WR)
    await protocol.ended
    protocol.transport = None
    return transport


async def paused_pipe(keep: list[Any]) -> Any:
    near, far = os.pipe()
    keep.append(os.fdopen(far, "wb", 0))
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(Quiet, os.fdopen(near, "rb", 0))
    transport.pause_reading()
    return transport


async def pipe_paused_from_the_first(keep: list[Any]) -> Any:
    near, far = os.pipe()
    keep.append(os.fdopen(far, "wb", 0))
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(PausedAtOnce, os.fdopen(near, "rb", 0))
    return transport


async def terminal_to_write_to(keep: list[Any]) -> Any:
    near, far = os.openpty()
    keep.append(os.fdopen(near, "rb", 0))
    transport, _ = await asyncio.get_running_loop().connect_write_pipe(asyncio.BaseProtocol, os.fdopen(far, "wb", 0))
    transport.write(b"x")
    return transport


KINDS = [
    paused_connection,
    resumed_and_paused_again,
    paused_from_the_first,
    half_closed,
    paused_pipe,
    pipe_paused_from_the_first,
    terminal_to_write_to,
]


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
@each_world
def test_one_that_wants_nothing_is_given_back(world: World, make: Callable[[list[Any]], Any]) -> None:
    async def main() -> None:
        keep: list[Any] = []
        before = descriptors()
        transport = await make(keep)
        await turns(3)
        there = weakref.ref(transport)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            del transport
            gc.collect()
            said = [str(warning.message) for warning in told if warning.category is ResourceWarning]
            told.clear()  # each refers to its transport
            gc.collect()
        assert there() is None
        assert len([text for text in said if text.startswith("unclosed transport")]) == 1
        for end in keep:
            end.close()
        await turns(3)
        assert descriptors() <= before

    world.run(main)


@each_world
def test_one_that_receives_or_sends_stays(world: World) -> None:
    async def main() -> None:
        keep: list[Any] = []
        for sends in (False, True):
            protocol = Notes()
            near, far = socket.socketpair()
            far.setblocking(False)
            keep.append(far)
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_connection(lambda protocol=protocol: protocol, sock=near)
            if sends:
                transport.pause_reading()
                transport.write(bytes(1_000_000))
            lost = protocol.lost
            there = weakref.ref(transport)
            protocol.transport = None
            del transport, protocol
            gc.collect()
            assert there() is not None
            if sends:
                size = 1_000_000
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ResourceWarning)
                    while size:
                        size -= len(await loop.sock_recv(far, 1 << 20))
                    await turns(3)
                    gc.collect()
                assert there() is None
            else:
                far.close()
                assert await lost is None
        for end in keep:
            end.close()

    world.run(main)


@each_of_ours
def test_a_paused_one_can_be_resumed_from_anywhere(world: World) -> None:
    """Nobody but a timer refers to it: it rests, and it serves again."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        protocol = Notes()
        near, far = socket.socketpair()
        transport, _ = await loop.create_connection(lambda: protocol, sock=near)
        transport.pause_reading()
        far.send(b"waits")
        loop.call_later(0.01, transport.resume_reading)
        del transport
        protocol.transport = None
        gc.collect()
        while not protocol.data:
            await asyncio.sleep(0.005)
        assert protocol.data == b"waits"
        far.close()
        assert await protocol.lost is None

    world.run(main)


@each_of_ours
def test_paused_by_its_own_data_and_dropped_in_the_same_call(world: World) -> None:
    """The last reference goes while the transport's own method is running."""

    class Drops(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            transport, self.transport = self.transport, None
            transport.pause_reading()
            dropped.append(weakref.ref(transport))

    dropped: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            for _ in range(20):
                near, far = socket.socketpair()
                await loop.create_connection(Drops, sock=near)
                far.send(b"x")
                await turns(4)
                gc.collect()
                far.close()
        assert len(dropped) == 20
        assert [reference() for reference in dropped] == [None] * 20

    world.run(main)


@pytest.mark.parametrize("tls", [False, True])
@each_of_ours
def test_a_servers_place_is_free_again(world: World, tls: bool) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        server = await loop.create_server(PausedAtOnce, "127.0.0.1", 0, ssl=server_context() if tls else None, max_connections=2)
        address = server.sockets[0].getsockname()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            for count in range(1, 6):
                options = {"ssl": client_context(), "server_hostname": "localhost"} if tls else {}
                transport, _ = await loop.create_connection(Notes, *address, **options)
                while server.statistics().accepted < count or server.statistics().connections:
                    await asyncio.sleep(0.001)
                    gc.collect()
                transport.abort()
        server.close()
        await server.wait_closed()

    world.run(main)


@each_world
def test_a_child_whose_output_nobody_takes(world: World) -> None:
    code = "import os\nwhile True: os.write(1, b'x' * 65536)"

    async def once() -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-S", "-c", code, stdout=asyncio.subprocess.PIPE)
        reading = asyncio.ensure_future(process.communicate())
        await turns(3)
        reading.cancel()
        await asyncio.wait([reading])
        while not process.stdout._paused:  # type: ignore[union-attr]
            await asyncio.sleep(0.005)  # it writes without end, and nobody reads
        process.kill()
        ended = asyncio.ensure_future(process.wait())
        await asyncio.wait([ended], timeout=None if world.ours else 1)  # asyncio before 3.13.1 waits for the pipes
        ended.cancel()
        await asyncio.wait([ended])

    async def main() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            await once()
            await turns(5)
            before = descriptors()
            for _ in range(3 if world.ours else 1):
                await once()
            for _ in range(100):
                await asyncio.sleep(0.005)
                if descriptors() <= before:
                    break
        assert descriptors() <= before

    world.run(main)


@each_of_ours
def test_those_that_rest_when_the_loop_closes(world: World) -> None:
    loop = world.new_loop()
    keep: list[Any] = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        kept = loop.run_until_complete(paused_connection(keep))
        for make in (paused_connection, paused_pipe, paused_from_the_first):
            asyncio.set_event_loop(None)
            loop.run_until_complete(make(keep))
        loop.close()
        gc.collect()
        assert kept.is_closing() is False
        del kept
        gc.collect()
    assert sum("unclosed transport" in str(warning.message) for warning in told) == 4
    for end in keep:
        end.close()
