"""What the selector driver owes to `select`, which refuses a closed descriptor where epoll forgets it."""

from __future__ import annotations

import asyncio
import selectors
import socket

import pytest

from cede.drivers.selector.driver import SelectorDriver
from cede.loop.event_loop import EventLoop


def on_select() -> EventLoop:
    return EventLoop(SelectorDriver(selectors.SelectSelector()))


def test_a_socket_closed_between_two_operations() -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        with near:
            waiting = loop.create_task(loop.sock_recv(far, 10))
            await asyncio.sleep(0)
            near.send(b"first")
            assert await waiting == b"first"
            far.close()  # what the driver registered for it is still there
            await asyncio.sleep(0.001)
            other, end = socket.socketpair()
            other.setblocking(False)
            with other, end:
                end.send(b"second")
                return await loop.sock_recv(other, 10)

    with asyncio.Runner(loop_factory=on_select) as runner:
        assert runner.run(main()) == b"second"


def test_whoever_waits_on_a_closed_socket_is_told() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        far.setblocking(False)
        with near, far:
            waiting = loop.create_task(loop.sock_recv(far, 10))
            await asyncio.sleep(0)
            far.close()
            with pytest.raises(OSError, match="closed while it was waited on"):
                await waiting

    with asyncio.Runner(loop_factory=on_select) as runner:
        runner.run(main())
