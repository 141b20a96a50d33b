"""What a server's connections are like, and what a connection that cannot be made says."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


async def accepted(serve: Callable[[Any], Any], connect: Callable[[Any], socket.socket], count: int = 1) -> list[Any]:
    """The transports of `count` connections, which come in while nobody looks."""
    made: list[Any] = []
    all_there = asyncio.get_running_loop().create_future()

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            made.append(transport)
            if len(made) == count:
                all_there.set_result(None)

    server = await serve(Protocol)
    clients = [connect(server.sockets[0].getsockname()) for _ in range(count)]
    await all_there
    for client in clients:
        client.close()
    server.close()
    return made


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("count", [1, 7])
def test_an_accepted_socket_is_as_asyncio_would_have_made_it(run: Callable[..., Any], host: str, count: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def connect(address: Any) -> socket.socket:
            client = socket.socket(family)
            client.connect(address)
            names.add(client.getsockname())
            return client

        names: set[Any] = set()
        transports = await accepted(lambda factory: loop.create_server(factory, host, 0), connect, count)
        assert {transport.get_extra_info("peername") for transport in transports} == names
        for transport in transports:
            sock = transport.get_extra_info("socket")
            assert (sock.family, sock.type) == (family, socket.SOCK_STREAM)
            assert sock.proto == sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL)
            assert sock.gettimeout() == 0
            assert not os.get_blocking(sock.fileno())
            assert not os.get_inheritable(sock.fileno())
            transport.abort()
        await asyncio.sleep(0)

    run(main)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("side", ["server", "client"])
def test_who_the_peer_was_is_known_after_a_reset(run: Callable[..., Any], host: str, side: str) -> None:
    """The kernel forgets it then, and nobody has asked before."""

    class Ends(asyncio.Protocol):
        def __init__(self) -> None:
            self.made = asyncio.get_running_loop().create_future()
            self.lost = asyncio.get_running_loop().create_future()

        def connection_made(self, transport: Any) -> None:
            self.made.set_result(transport)

        def connection_lost(self, error: BaseException | None) -> None:
            self.lost.set_result(error)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as far:
            protocol = Ends()
            if side == "server":
                server = await loop.create_server(lambda: protocol, host, 0)
                far.connect(server.sockets[0].getsockname())
                transport = await protocol.made
                server.close()
                peer, name = far, far.getsockname()
            else:
                far.bind((host, 0))
                far.listen()
                transport, _ = await loop.create_connection(lambda: protocol, *far.getsockname()[:2])
                peer, name = far.accept()[0], far.getsockname()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            assert isinstance(await protocol.lost, ConnectionResetError)
        assert transport.get_extra_info("peername") == name
        assert transport.get_extra_info("peername") is transport.get_extra_info("peername")

    run(main)


@pytest.mark.parametrize("bound", [False, True])
def test_peers_of_a_unix_server(run: Callable[..., Any], tmp_path: Path, bound: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        path = str(tmp_path / "server")

        def connect(address: Any) -> socket.socket:
            client = socket.socket(socket.AF_UNIX)
            if bound:
                client.bind(str(tmp_path / "client"))
            client.connect(address)
            return client

        (transport,) = await accepted(lambda factory: loop.create_unix_server(factory, path), connect)
        assert transport.get_extra_info("peername") == (str(tmp_path / "client") if bound else "")
        assert transport.get_extra_info("socket").gettimeout() == 0
        transport.abort()
        await asyncio.sleep(0)

    run(main)


def test_a_refused_connection_says_so_in_asyncios_words(run: Callable[..., Any]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()  # bound, and nobody listens

        async def main() -> None:
            loop = asyncio.get_running_loop()
            with pytest.raises(ConnectionRefusedError) as caught:
                await loop.create_connection(asyncio.Protocol, *address)
            assert caught.value.errno == errno.ECONNREFUSED
            assert str(caught.value) == f"[Errno {errno.ECONNREFUSED}] Connect call failed {address}"
            with socket.socket() as sock:
                sock.setblocking(False)
                with pytest.raises(ConnectionRefusedError, match="Connect call failed"):
                    await loop.sock_connect(sock, address)

        run(main)


@pytest.mark.slow  # a packet that was dropped is sent again after a second
def test_a_connection_that_is_not_made_at_once_is_waited_for(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            listener.setblocking(False)
            address = listener.getsockname()
            kept = [socket.create_connection(address)]  # its queue is full now
            late = []
            for _ in range(3):
                sock = socket.socket()
                sock.setblocking(False)
                kept.append(sock)
                late.append(asyncio.ensure_future(loop.sock_connect(sock, address)))
            await asyncio.sleep(0.01)
            assert not all(task.done() for task in late), "there was room for all: this shows nothing"
            async with asyncio.timeout(60):
                while not all(task.done() for task in late):
                    try:
                        kept.append(listener.accept()[0])
                    except BlockingIOError:
                        await asyncio.sleep(0.02)
            for task in late:
                task.result()
            for sock in kept:
                sock.close()

    run(main)


def test_connecting_twice(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, listener.getsockname())
            # The system takes the first repetition for a question how it went; only the next one is refused.
            await loop.sock_connect(sock, listener.getsockname())
            with pytest.raises(OSError) as caught:
                await loop.sock_connect(sock, listener.getsockname())
            assert caught.value.errno == errno.EISCONN

    run(main)
