"""``python -m tests.soak.server PEM LIMIT``: chat and HTTP, plain and over TLS, and a UDP echo, in one process with few descriptors.

It tells its ports in a line of JSON on its output, and then answers each line of its input: ``measure`` with what it holds at that moment,
``stop`` by closing everything. That is done through the loop's own pipe transports.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import gc
import json
import logging
import os
import resource
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cede

from .chat import Chat
from .web import Web

GUARD = {"max_connections": 6, "first_byte_timeout": 0.5, "min_read_rate": 200, "read_rate_window": 0.5}
# What the exception handler may be told: the system has no more to give.
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Heap(ctypes.Structure):
    """glibc's struct mallinfo2."""

    NAMES = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = [(name, ctypes.c_size_t) for name in NAMES]


def heap_in_use() -> int:
    """Bytes that malloc has given out; 0 where the C library does not tell."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return 0
    libc.malloc_trim(0)
    libc.mallinfo2.restype = Heap
    heap = libc.mallinfo2()
    return int(heap.uordblks + heap.hblkhd)


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


class Echo(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.transport: Any = None
        self.count = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.count += 1
        self.transport.sendto(data, address)


class House:
    """All the servers of the process."""

    def __init__(self) -> None:
        self.servers: dict[str, Any] = {}
        self.reports: list[str] = []
        self.refused = 0
        self.web = Web()
        self.chat = Chat()
        self.echo = Echo()

    def told(self, loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in EXHAUSTED:
            self.refused += 1
        else:
            self.reports.append(f"{context.get('message')}: {error!r} {context.get('protocol')!r}")

    async def open(self, pem: str) -> dict[str, int]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self.told)
        loop.set_default_executor(ThreadPoolExecutor(2))
        await asyncio.gather(*(asyncio.to_thread(threading.Event().wait, 0.05) for _ in range(2)))  # both threads are there from now on
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        secure = {"ssl": context, "ssl_handshake_timeout": 2, "ssl_shutdown_timeout": 1}
        create, where = loop.create_server, ("127.0.0.1", 0)
        self.servers = {
            "http": await create(self.web, *where, backlog=512),
            "https": await create(self.web, *where, backlog=512, **secure),
            "guarded": await create(self.web, *where, **GUARD),  # type: ignore[arg-type]
            "chat": await cede.start_server(self.chat.serve, *where, limit=2048, backlog=512),
            "chats": await cede.start_server(self.chat.serve, *where, limit=2048, **secure),
        }
        transport, _ = await loop.create_datagram_endpoint(lambda: self.echo, where)
        ports = {name: server.sockets[0].getsockname()[1] for name, server in self.servers.items()}
        return {**ports, "udp": transport.get_extra_info("sockname")[1]}

    def measure(self) -> dict[str, Any]:
        for _ in range(3):
            gc.collect()
        # The descriptor that lists the others is among them.
        return {
            "tasks": len(asyncio.all_tasks()),
            "descriptors": len(os.listdir("/proc/self/fd")) - 1,
            "threads": threading.active_count(),
            "connections": sum(server.statistics().connections for server in self.servers.values()),
            "heap": heap_in_use(),
            "resident": resident(),
            "blocks": sys.getallocatedblocks(),
            "objects": len(gc.get_objects()),
            "accepted": sum(server.statistics().accepted for server in self.servers.values()),
            "failed": sum(server.statistics().failed for server in self.servers.values()),
            "silent": self.servers["guarded"].statistics().silent,
            "slow": self.servers["guarded"].statistics().slow,
            "held back": self.servers["guarded"].statistics().accept_pauses,
            "answers": self.web.answers,
            "messages": self.chat.messages,
            "dropped readers": self.chat.dropped,
            "out of descriptors": self.refused,
            "rooms": self.chat.numbers(),
            "reports": self.reports,
        }


async def main(pem: str) -> None:
    loop = asyncio.get_running_loop()
    house = House()
    ports = await house.open(pem)
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    answers, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout)
    answers.write(json.dumps(ports).encode() + b"\n")
    while (order := (await orders.readline()).strip()) == b"measure":
        answers.write(json.dumps(house.measure()).encode() + b"\n")
    for server in house.servers.values():
        server.close()
        server.abort_clients()
        await server.wait_closed()
    assert order == b"stop", order


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), int(sys.argv[2])))
    cede.run(main(sys.argv[1]), grace=10)
