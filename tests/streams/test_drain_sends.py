"""After ``await writer.drain()`` what was written has left, whatever the step does next: it may end the process, or block."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from cede.loop.config import driver_names
from cede.streams import api as streams
from tests.support.certificates import client_context, server_context
from tests.support.clocks import slow_down
from tests.support.driver_worlds import OURS, World

each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)
each_module = pytest.mark.parametrize("module", [streams, asyncio.streams], ids=["cede's", "asyncio's"])


async def connected(module: Any, *, tls: bool, metered: bool) -> tuple[Any, Any, Any]:
    """A server's writer that is used to write twice a step, its far end as a socket that can be asked what has arrived, and the server."""
    loop: Any = asyncio.get_running_loop()
    slow_down(loop)
    writers: Any = asyncio.Queue()
    limits = {"min_read_rate": 1, "read_rate_window": 1000} if metered else {}
    server = await module.start_server(
        lambda reader, writer: writers.put_nowait(writer), "127.0.0.1", 0, ssl=server_context() if tls else None, **limits
    )
    sock = socket.create_connection(server.sockets[0].getsockname())
    sock.setblocking(False)
    if tls:
        sock = await asyncio.to_thread(shaken, sock)
    writer = await writers.get()
    for _ in range(4):
        writer.write(b"head")
        writer.write(b"body")
        await asyncio.sleep(0)
    got = b""
    while len(got) < 4 * 8:
        got += arrived(sock)
        await asyncio.sleep(0)
    return writer, sock, server


def shaken(sock: socket.socket) -> Any:
    sock.setblocking(True)
    secure = client_context().wrap_socket(sock, server_hostname="localhost")
    secure.setblocking(False)
    return secure


def arrived(sock: Any) -> bytes:
    """What the other end can read at this moment."""
    import ssl

    got = b""
    with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
        while block := sock.recv(1 << 16):  # of TLS, a record each time
            got += block
    return got


@pytest.mark.parametrize("metered", [False, True], ids=["", "metered"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@each_module
@each_of_ours
def test_what_is_held_leaves_with_drain(world: World, module: Any, tls: bool, metered: bool) -> None:
    async def main() -> None:
        writer, sock, server = await connected(module, tls=tls, metered=metered)
        held = 0
        for _ in range(10):
            writer.write(b"head")
            writer.write(b"body")
            early = arrived(sock)
            held += not early
            draining = writer.drain()
            with pytest.raises(StopIteration):  # it does not even give way
                draining.send(None)
            assert early + arrived(sock) == b"headbody"
            await asyncio.sleep(0)
        # TLS over a metered transport asks that for the size of its buffer after each write, which sends.
        assert held or (tls and metered), "nothing is held any more: then this tests nothing"
        writer.close()
        sock.close()
        server.close()

    world.run(main)


@each_of_ours
def test_pieces_still_leave_together(world: World) -> None:
    """A transport that is asked whether it closes, and not by a stream, keeps its habit."""

    async def main() -> None:
        writer, sock, server = await connected(streams, tls=False, metered=False)
        transport = writer.transport
        transport.set_protocol(asyncio.Protocol())
        for _ in range(3):
            transport.write(b"head")
            assert not transport.is_closing()
            transport.write(b"body")
            assert not transport.is_closing()
            assert arrived(sock) == b""
            await asyncio.sleep(0)
            assert arrived(sock) == b"headbody"
        transport.abort()
        sock.close()
        server.close()

    world.run(main)


LEAVES = """
    import asyncio, os, socket, sys
    from cede.loop.config import make_driver
    from cede.loop.event_loop import EventLoop
    from cede.streams import api as streams

    async def main():
        loop = asyncio.get_running_loop()
        loop.time = lambda: 0.0  # no step is too long
        module = streams if sys.argv[2] == "cede" else asyncio.streams
        sock = socket.socket(fileno=int(sys.argv[3]))
        reader, writer = await module.open_connection(sock=sock)
        for _ in range(4):
            writer.write(b"head")
            writer.write(b"body")
            await asyncio.sleep(0)
        writer.write(b"last ")
        writer.write(b"words")
        await writer.drain()
        if sys.argv[4] == "_exit":
            os._exit(0)
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", ""])

    with asyncio.Runner(loop_factory=lambda: EventLoop(make_driver(sys.argv[1]))) as runner:
        runner.run(main())
    """


@pytest.mark.parametrize("way", ["_exit", "execv"])
@pytest.mark.parametrize("module", ["cede", "asyncio"])
@pytest.mark.parametrize("driver", driver_names())
def test_a_process_that_leaves_right_after(driver: str, module: str, way: str) -> None:
    near, far = socket.socketpair()
    with near, far:
        words = [sys.executable, "-c", textwrap.dedent(LEAVES), driver, module, str(far.fileno()), way]
        done = subprocess.run(words, pass_fds=[far.fileno()], capture_output=True, text=True, timeout=60, check=False)
        far.close()
        assert done.returncode == 0, done.stderr
        said = b""
        while block := near.recv(1000):
            said += block
        assert said == b"headbody" * 4 + b"last words"
