"""A driver may use the bytes object of one message again for the next: nobody who kept the first may notice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

SIZE = 1024


@pytest.mark.parametrize("keep", [True, False])
def test_messages_of_one_size(run: Callable[..., Any], keep: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen: list[Any] = []
        arrived = asyncio.Event()

        class Peer(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                assert len(data) == SIZE
                # A hash is kept inside the object, and must be this value's.
                seen.append(data if keep else hash(data))
                arrived.set()

        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            transport, _ = await loop.create_connection(Peer, sock=ours)
            messages = [bytes([i]) * SIZE for i in range(50)]
            for message in messages:
                arrived.clear()
                await loop.sock_sendall(theirs, message)
                await arrived.wait()
            assert seen == (messages if keep else [hash(bytes([i]) * SIZE) for i in range(50)])
            transport.close()
            await asyncio.sleep(0)

    run(main)


def test_a_busy_loop_hears_the_world(run: Callable[..., Any]) -> None:
    """curio 106, curio 112: what is always ready starves I/O."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            heard: list[bool] = []
            loop.add_reader(ours, heard.append, True)
            # Far longer than a loop looks before each turn although it finds nothing.
            for _ in range(500):
                await asyncio.sleep(0)
            assert not heard
            theirs.send(b"x")
            for _ in range(20):
                await asyncio.sleep(0)
            assert heard
            loop.remove_reader(ours)

    run(main)
