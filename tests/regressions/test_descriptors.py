"""Whose descriptor it is: servers over given sockets, and connections that run out of time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Run = Callable[..., Any]
pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks into /proc")


def descriptors() -> dict[str, str]:
    """Number -> what it is, but for the listing's own."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    return {name: target for name, target in found.items() if not target.startswith("/proc/")}


@contextlib.contextmanager
def strangers(count: int = 100) -> Iterator[list[socket.socket]]:
    """Sockets of somebody else, which take whatever numbers are free; all must be alive and unharmed in the end."""
    made = [socket.socket() for _ in range(count)]
    before = [os.fstat(sock.fileno()).st_ino for sock in made]
    try:
        yield made
        assert [os.fstat(sock.fileno()).st_ino for sock in made] == before
    finally:
        for sock in made:
            sock.close()


@pytest.mark.parametrize("order", ["server first", "socket first", "dropped"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_given_socket_after_its_server_is_closed(run: Run, tmp_path: Any, order: str, kind: str) -> None:
    """asyncio 449, gunicorn 3013: closing the server and the socket, in either order, raises nothing and closes nothing twice."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if order == "socket first" and "cede" not in type(loop).__module__:
            pytest.skip("asyncio's selector is left with a number that is no socket any more")
        if kind == "tcp":
            sock = socket.create_server(("127.0.0.1", 0))
            server = await loop.create_server(asyncio.Protocol, sock=sock)
        else:
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(str(tmp_path / "socket"))
            server = await loop.create_unix_server(asyncio.Protocol, sock=sock)
        if order == "socket first":
            sock.close()
        server.close()
        await server.wait_closed()
        with strangers():
            if order == "dropped":
                del sock, server
                gc.collect()
            else:
                sock.close()
            await asyncio.sleep(0)

    before = descriptors()
    run(main)
    gc.collect()
    assert descriptors() == before


@pytest.mark.parametrize("seconds", [0, 0.001])
def test_timeouts_around_connections_leave_nothing(run: Run, seconds: float) -> None:
    """doh-proxy 76, uvloop 23: no descriptor of ours, and no connection on the server's side that nobody closes."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ended: list[asyncio.Future[None]] = []

        class Far(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                self.end = loop.create_future()
                ended.append(self.end)

            def connection_lost(self, error: BaseException | None) -> None:
                self.end.set_result(None)

        server = await loop.create_server(Far, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        with socket.socket(type=socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            for _ in range(200):
                transports = []
                for make in (
                    lambda: loop.create_connection(asyncio.Protocol, *address),
                    lambda: loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=peer.getsockname()),
                ):
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(seconds):
                            transports.append((await make())[0])
                for transport in transports:
                    transport.close()
        await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while not all(end.done() for end in ended):
                await asyncio.sleep(0.001)
        server.close()
        await server.wait_closed()

    gc.collect()
    before = descriptors()
    run(main)
    gc.collect()
    assert descriptors() == before


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cancelled_connection_over_a_given_socket_and_a_late_collector(run: Run) -> None:
    """uvloop 738, uvloop 740, uvloop 766: the socket's own end comes later, when its number is somebody else's."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            for turns in range(6):
                sock = socket.socket()
                sock.setblocking(False)
                await loop.sock_connect(sock, listener.getsockname())
                far, _ = listener.accept()
                task = asyncio.create_task(loop.create_connection(asyncio.Protocol, sock=sock))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                transport = None
                with contextlib.suppress(asyncio.CancelledError):
                    transport = (await task)[0]
                if transport is not None:
                    transport.abort()
                    await asyncio.sleep(0)
                with strangers():
                    del sock, task, transport
                    gc.collect()
                    await asyncio.sleep(0)
                far.close()

    run(main)
