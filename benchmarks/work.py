"""How the bodies of the work rows are described, and the drain that takes what they send."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.loops import ROOT
from benchmarks.task_rows import Body

# Receives from one connection after another until its standard input closes. In a process of its own: a thread would share the GIL.
DRAIN = """
import socket, sys, threading, os
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
room = bytearray(1 << 20)
while True:
    sock, _ = listener.accept()
    while sock.recv_into(room):
        pass
    sock.close()
"""


@dataclass(frozen=True)
class Work:
    """A body, and how much of it makes a batch."""

    body: Body
    least: int = 10
    """A batch has no fewer operations than this."""
    size: int = 0
    """Bytes that each operation moves; 0 where that says nothing."""
    once: bool = False
    """The body runs one time only, with the number of operations that the run asks for."""


@asynccontextmanager
async def drain() -> AsyncIterator[int]:
    """The port of a process that receives whatever it is sent, and answers nothing."""
    child = subprocess.Popen([sys.executable, "-c", DRAIN], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: ASYNC220
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield int(child.stdout.readline())
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait()


async def closed(transport: asyncio.BaseTransport) -> None:
    """Close a transport and let the loop do what follows from it."""
    transport.close()
    for _ in range(3):
        await asyncio.sleep(0)




