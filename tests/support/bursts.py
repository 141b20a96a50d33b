"""What one step writes in pieces, and what of it has arrived."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any

HABIT = 2
FORGIVEN = 64
BARRED = 1024


def arrived(far: socket.socket) -> bytes:
    """What the other end can read at this moment."""
    with contextlib.suppress(BlockingIOError):
        return far.recv(1 << 20)
    return b""


def segments(far: socket.socket) -> int:
    """TCP segments with data that the other end got: tcpi_data_segs_in."""
    return int(struct.unpack_from("I", far.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160), 152)[0])


async def bursts(transport: Any, far: socket.socket, count: int = HABIT) -> None:
    """So many steps that write twice."""
    for _ in range(count):
        transport.write(b"head")
        transport.write(b"body")
        await asyncio.sleep(0)
        assert arrived(far) == b"headbody"
