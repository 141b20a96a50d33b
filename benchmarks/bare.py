"""The work of some rows without an event loop: blocking calls, one after the other, in one thread.

It shows how much of a row is the system's, OpenSSL's or the interpreter's, and so about what a loop could gain; it is the plain way to do
the work, not the fastest there is. Each body performs `n` operations and returns the seconds they took, as the bodies of loops do; it is a
coroutine function like them, and waits for nothing in between.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ssl import SSLWantReadError
from typing import TYPE_CHECKING, Any

from benchmarks.clocks import active
from benchmarks.tls_rows import BLOCK, REQUEST, both
from benchmarks.transfer_rows import DATAGRAM, FILE, PIECE, PIECES
from benchmarks.work import Work, drain

if TYPE_CHECKING:
    from benchmarks.task_rows import Bench


def pair(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """A TCP connection: the server's end and the client's."""
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    for end in (server, client):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server, client


def listen() -> socket.socket:
    """A listener on a free port."""
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


async def subprocess_wait(b: Bench, n: int) -> float:
    """``subprocess.Popen`` and its ``wait``."""
    program = shutil.which("true") or "/bin/true"
    start = active()
    for _ in range(n):
        if subprocess.Popen([program]).wait():  # noqa: ASYNC220
            raise RuntimeError(f"{program} failed")
    return active() - start


async def connect_echo_close(b: Bench, n: int) -> float:
    """Connect, 5 bytes there and back, close."""
    with listen() as listener:
        start = active()
        for _ in range(n):
            server, client = pair(listener)
            client.send(b"hello")
            server.send(server.recv(BLOCK))
            if client.recv(BLOCK) != b"hello":
                raise RuntimeError("the echo differs")
            client.close()
            server.recv(BLOCK)
            server.close()
        return active() - start


async def datagrams(b: Bench, n: int) -> float:
    """A datagram there and back; before each is received, `epoll_wait` says that it is there."""
    message = b"x" * DATAGRAM
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        select.epoll() as ready,
    ):
        server.bind(("127.0.0.1", 0))
        client.connect(server.getsockname())
        for end in (server, client):
            end.setblocking(False)
            ready.register(end, select.EPOLLIN)
        start = active()
        for _ in range(n):
            client.send(message)
            ready.poll()
            data, sender = server.recvfrom(BLOCK)
            server.sendto(data, sender)
            ready.poll()
            client.recvfrom(BLOCK)
        return active() - start


async def sendfile(b: Bench, n: int) -> float:
    """``os.sendfile`` on a blocking socket, to another process."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(FILE))
        file.flush()
        async with drain() as port:
            with socket.create_connection(("127.0.0.1", port)) as sock:
                start = active()
                for _ in range(n):
                    sent = 0
                    while sent < FILE:
                        sent += os.sendfile(sock.fileno(), file.fileno(), sent, FILE - sent)
                return active() - start


async def writelines(b: Bench, n: int) -> float:
    """The buffers joined and sent by one call on a blocking socket, to another process."""
    pieces = [bytes([i]) * PIECE for i in range(PIECES)]
    async with drain() as port:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            start = active()
            for _ in range(n):
                sock.sendall(b"".join(pieces))
            return active() - start


def in_steps(*calls: Callable[[], Any]) -> None:
    """Call one after the other, again and again, until each has had what it wanted to read."""
    left = list(calls)
    while left:
        for call in tuple(left):
            try:
                call()
            except SSLWantReadError:
                continue
            left.remove(call)


def encrypted(listener: socket.socket) -> tuple[Any, Any]:
    """A TLS connection after its handshake, without blocking: the server's end and the client's."""
    server, client = pair(listener)
    for end in (server, client):
        end.setblocking(False)
    accepting, connecting = both()
    inside = accepting.wrap_socket(server, server_side=True, do_handshake_on_connect=False)
    outside = connecting.wrap_socket(client, server_hostname="localhost", do_handshake_on_connect=False)
    in_steps(outside.do_handshake, inside.do_handshake)
    return inside, outside


@contextmanager
def talking() -> Iterator[tuple[Any, Any]]:
    """As `encrypted`, blocking from then on, and closed at the end."""
    with listen() as listener:
        server, client = encrypted(listener)
        with server, client:
            for end in (server, client):
                end.setblocking(True)
            yield server, client


def receive(end: Any, count: int) -> None:
    """`count` bytes, which have been sent."""
    while count:
        count -= len(end.recv(count))


async def stream(b: Bench, n: int) -> float:
    """64 KiB are sent and received, by ``ssl.SSLSocket``."""
    with talking() as (server, client):
        block = bytes(BLOCK)
        start = active()
        for _ in range(n):
            client.sendall(block)
            receive(server, BLOCK)
        return active() - start


async def requests(b: Bench, n: int) -> float:
    """1 KiB there and back, by ``ssl.SSLSocket``."""
    with talking() as (server, client):
        message = bytes(range(256)) * (REQUEST // 256)
        start = active()
        for _ in range(n):
            client.sendall(message)
            server.sendall(server.recv(BLOCK))
            if client.recv(BLOCK) != message:
                raise RuntimeError("the echo differs")
        return active() - start


async def handshake(b: Bench, n: int) -> float:
    """Connect, handshake, the closing messages, close, by ``ssl.SSLSocket``."""
    with listen() as listener:
        start = active()
        for _ in range(n):
            server, client = encrypted(listener)
            with server, client:
                in_steps(client.unwrap, server.unwrap)
        return active() - start


WORK: dict[str, Work] = {
    "work.subprocess": Work(subprocess_wait, least=5),
    "work.connect": Work(connect_echo_close, least=20),
    "move.udp-1": Work(datagrams, least=100),
    "move.sendfile": Work(sendfile, least=2, size=FILE),
    "move.writelines": Work(writelines, least=100, size=PIECES * PIECE),
    "tls.stream": Work(stream, least=50, size=BLOCK),
    "tls.requests": Work(requests, least=100),
    "tls.handshake": Work(handshake, least=5),
}
