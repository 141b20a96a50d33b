"""An echo server on one loop: prints ``{"port": N}``, then answers each line on standard input with its clocks."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

from benchmarks.certificate import contexts
from benchmarks.clocks import raise_descriptor_limit, sample
from benchmarks.loops import BARE, OWN, loop_of, new_loop

if TYPE_CHECKING:
    from collections.abc import Callable

ROOM = 64 * 1024
BACKLOG = 1024


class Echo(asyncio.Protocol):
    """Bytes come in, the same bytes go out."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class BufferedEcho(asyncio.BufferedProtocol):
    """As `Echo`, received into a buffer of the protocol's own."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.room = memoryview(bytearray(ROOM))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.room

    def buffer_updated(self, nbytes: int) -> None:
        # A copy, as a program has to make: a transport may keep what it could not send, and the next receive
        # overwrites the buffer.
        self.transport.write(bytes(self.room[:nbytes]))


async def echo_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One client over streams, as a program would write it."""
    while data := await reader.read(ROOM):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve_sock(loop: asyncio.AbstractEventLoop) -> int:
    """Accept and echo with the loop's socket methods alone."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    listener.setblocking(False)

    async def echo(sock: socket.socket) -> None:
        with sock:
            while data := await loop.sock_recv(sock, ROOM):
                await loop.sock_sendall(sock, data)

    async def accept() -> None:
        # A task that nobody refers to may be collected while it waits.
        alive: set[asyncio.Task[None]] = set()
        while True:
            sock, _ = await loop.sock_accept(listener)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(echo(sock))
            alive.add(task)
            task.add_done_callback(alive.discard)

    port: int = listener.getsockname()[1]
    keep.append(loop.create_task(accept()))
    return port


def serve_bare() -> int:
    """One TLS client after the other by blocking calls, in a thread: a message there and back, then its connection is held."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    context = contexts()[0]

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            # As loops do. Without it the echo waits for the client to acknowledge the session tickets, which it delays by 40 ms.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock = context.wrap_socket(connection, server_side=True)
            sock.sendall(sock.recv(ROOM))
            keep.append(sock)

    threading.Thread(target=accept, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


keep: list[object] = []
"""What has to live as long as the server."""


async def start(loop: asyncio.AbstractEventLoop, contestant: str, mode: str) -> int:
    """Start the server of the named mode; returns its port. Raises ``ValueError`` for a mode there is not."""
    if mode == "sock":
        return await serve_sock(loop)
    if contestant == BARE and mode == "tls":
        return serve_bare()
    server: Any
    factories: dict[str, Callable[[], asyncio.BaseProtocol]] = {"protocol": Echo, "buffered": BufferedEcho, "tls": Echo}
    if mode in factories:
        context = contexts()[0] if mode == "tls" else None
        server = await loop.create_server(factories[mode], "127.0.0.1", 0, backlog=BACKLOG, ssl=context)
    elif mode == "streams":
        start_server = importlib.import_module("cede").start_server if contestant == OWN else asyncio.start_server
        server = await start_server(echo_stream, "127.0.0.1", 0, backlog=BACKLOG)
    else:
        raise ValueError(f"mode must be protocol, buffered, tls, streams or sock, not {mode!r}")
    keep.append(server)
    port: int = server.sockets[0].getsockname()[1]
    return port


def answer_lines() -> None:
    """Tell the clocks whenever asked, from a thread that sleeps in between; the end of input ends the process."""
    for _ in sys.stdin:
        print(json.dumps(sample()), flush=True)
    os._exit(0)


def main() -> None:
    """Entry of the child process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode")
    parser.add_argument("contestant")
    wish = parser.parse_args()
    raise_descriptor_limit()
    loop = new_loop(loop_of(wish.contestant))
    port = loop.run_until_complete(start(loop, wish.contestant, wish.mode))
    print(json.dumps({"port": port}), flush=True)
    threading.Thread(target=answer_lines, daemon=True).start()
    loop.run_forever()


if __name__ == "__main__":
    main()
