"""The program's buffers in a socket operation: nobody resizes them under it, messages are whole, and a large one is sent in turns."""

from __future__ import annotations

import array
import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.drivers.test_sockops import pair, start
from tests.support.driver_worlds import OURS, WORLDS, World, turns

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)

SIZE = 400_000


def shorten(data: Any) -> None:
    del data[10:]


def lengthen(data: Any) -> None:
    data.extend(data[:10])


@pytest.mark.parametrize("resize", [shorten, lengthen])
@pytest.mark.parametrize("make", [lambda: bytearray(b"A" * SIZE), lambda: array.array("I", b"A" * SIZE)], ids=["bytearray", "array"])
@each_world
def test_what_is_being_sent_cannot_be_resized(world: World, make: Any, resize: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for given_up in (False, True):
            near, far = pair(4096)
            data = make()
            sending = start(loop.sock_sendall(near, data))
            await turns(3)
            assert not sending.done()
            with pytest.raises(BufferError):
                resize(data)
            received = bytearray()
            if given_up:
                sending.cancel()
                await asyncio.wait([sending])
                received += await loop.sock_recv(far, 1 << 20)
                assert received == bytes(data)[: len(received)]
            elif world.ours or isinstance(data, bytearray):
                while len(received) < SIZE:
                    received += await loop.sock_recv(far, 1 << 20)
                await sending
                assert received == bytes(data)
            else:
                sending.cancel()  # asyncio counts items where it means bytes
                await asyncio.wait([sending])
            resize(data)  # nobody holds it any more
            near.close()
            far.close()

    world.run(main)


@each_of_ours
def test_a_failed_one_lets_go_of_its_buffer(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = pair(4096)
        data = bytearray(SIZE)
        sending = start(loop.sock_sendall(near, data))
        await turns(3)
        far.close()
        with pytest.raises(ConnectionError):
            await sending
        shorten(data)
        near.close()

    world.run(main)


@each_of_ours
def test_one_that_was_never_awaited_holds_nothing(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = pair()
        data = bytearray(b"abcdefghijklmnopqrstuvwxyz")
        operation: Any = loop.sock_sendall(near, data)
        shorten(data)
        await operation
        assert await loop.sock_recv(far, 100) == b"abcdefghij"
        dropped: Any = loop.sock_sendall(near, data)
        dropped.close()
        lengthen(data)
        near.close()
        far.close()

    world.run(main)


@each_world
def test_a_buffer_to_receive_into_may_change_while_nothing_has_come(world: World) -> None:
    """It is looked at anew each time that something may have come, so its size then is the one that counts."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = pair()
        room = bytearray(1000)
        receiving = start(loop.sock_recv_into(far, room))
        await turns(3)
        del room[4:]
        room.extend(bytes(100_000))
        del room[5:]
        near.send(b"0123456789")
        assert await receiving == 5
        assert room == b"01234"
        near.close()
        far.close()

    world.run(main)


@pytest.mark.parametrize("size", [262_143, 262_144, 262_145, 300_000, 400_000])
@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET], ids=lambda kind: kind.name)
@each_world
def test_a_message_is_received_whole(world: World, kind: int, size: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair(socket.AF_UNIX, kind)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        near.setblocking(False)
        far.setblocking(False)
        message = bytes(range(251)) * (size // 251 + 1)
        message = message[:size]
        try:
            near.send(message)
        except OSError:
            pytest.skip("the system's buffers are smaller than the message")
        assert await loop.sock_recv(far, 1 << 20) == message
        near.send(message)
        assert await loop.sock_recv(far, size - 1000) == message[: size - 1000]
        near.send(message)
        assert (await loop.sock_recvfrom(far, 1 << 20))[0] == message
        room = bytearray(1 << 20)
        near.send(message)
        assert await loop.sock_recv_into(far, room) == size
        assert room[:size] == message
        near.send(message)
        assert (await loop.sock_recvfrom_into(far, room))[0] == size
        receiving = start(loop.sock_recv(far, 1 << 20))
        await turns(3)
        near.send(b"")
        near.send(message)
        if kind == socket.SOCK_DGRAM:
            assert await receiving == b""
            receiving = start(loop.sock_recv(far, 1 << 20))
        elif await receiving == b"":
            receiving = start(loop.sock_recv(far, 1 << 20))
        assert await receiving == message
        near.close()
        far.close()

    world.run(main)


class Bottomless(socket.socket):
    """Takes everything at once."""

    def send(self, data: Any, *args: Any) -> int:
        return len(data)


def with_room(size: int) -> tuple[socket.socket, socket.socket]:
    """A pair whose first takes so many bytes before anybody reads."""
    near, far = pair()
    try:
        near.setsockopt(socket.SOL_SOCKET, 32, 2 * size)  # SO_SNDBUFFORCE
    except PermissionError:
        near.close()
        far.close()
        pytest.skip("only root may have a send buffer of that size")
    return near, far


@pytest.mark.parametrize("plain", [True, False])
@each_of_ours
def test_a_peer_that_takes_everything_leaves_others_their_turn(world: World, plain: bool) -> None:
    size = 24 << 20

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if plain:
            near, far = with_room(size)
        else:
            one, far = pair()
            near = Bottomless(fileno=one.detach())
            near.setblocking(False)
        for data in (bytes(size), bytearray(size)):
            sending = start(loop.sock_sendall(near, data))
            others = 0
            while not sending.done():
                await asyncio.sleep(0)
                others += 1
            assert others >= 5
            await sending
            if plain:
                left = size
                while left:
                    left -= len(await loop.sock_recv(far, 1 << 20))
        cancelled = start(loop.sock_sendall(near, bytes(size)))
        await turns(1)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        near.close()
        far.close()

    world.run(main)


@each_of_ours
def test_a_peer_that_takes_a_whole_file_leaves_others_their_turn(world: World, tmp_path: Path) -> None:
    size = 24 << 20
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, size)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = with_room(size)
        with path.open("rb") as file:
            sending = start(loop.sock_sendfile(near, file))
            others = 0
            while not sending.done():
                await asyncio.sleep(0)
                others += 1
            assert others >= 5
            assert await sending == size
        near.close()
        far.close()

    world.run(main)
