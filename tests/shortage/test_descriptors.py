"""No descriptors left, at each step of making a connection, a server, a pipe or a process: an error, and nothing is left open.

The limit is moved up one descriptor at a time, so that each call that needs one fails once, until everything succeeds.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import cede
import cede.net.tls.lower_protocol
import cede.net.tls.transport  # what is imported where it is first needed, which takes descriptors too
from tests.support.certificates import client_context, server_context

MOST = 40  # descriptors that any of these needs at once


def open_now() -> set[int]:
    return {number for number in range(1024) if is_open(number)}


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


@contextmanager
def shortage(free: int) -> Iterator[None]:
    """Exactly so many descriptors can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    holes = [number for number in range(1024) if not is_open(number)][:free]
    limit = (holes[-1] + 1) if holes else min(number for number in range(1024) if not is_open(number))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Ends:
    """What was opened, to be closed by its owner."""

    def __init__(self) -> None:
        self.close: list[Any] = []
        self.lost: list[asyncio.Future[None]] = []


class Protocol(asyncio.Protocol):
    def __init__(self, ends: Ends) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ends = ends

    def connection_made(self, transport: Any) -> None:
        self.ends.close.append(transport)
        self.ends.lost.append(self.lost)

    def connection_lost(self, error: BaseException | None) -> None:
        self.lost.set_result(None)


class Datagrams(Protocol, asyncio.DatagramProtocol):
    pass


class Child(Protocol, asyncio.SubprocessProtocol):
    pass


async def connect(ends: Ends, **options: Any) -> None:
    loop = asyncio.get_running_loop()
    tls = {"ssl": TLS[0]} if options else {}
    server = await loop.create_server(lambda: Protocol(ends), "127.0.0.1", 0, **tls)
    ends.close.append(server)
    address = server.sockets[0].getsockname()
    transport, _ = await asyncio.wait_for(loop.create_connection(lambda: Protocol(ends), *address, **options), 20)
    # The server may be out of descriptors, or have the connection and not have said so yet.
    transport.close()


async def connect_tls(ends: Ends) -> None:
    await connect(ends, ssl=TLS[1], server_hostname="localhost", ssl_handshake_timeout=1)


async def dual_server(ends: Ends) -> None:
    ends.close.append(await cede.start_server(lambda reader, writer: writer.close(), ["127.0.0.1", "127.0.0.2", "127.0.0.3"], 0))


async def unix(ends: Ends) -> None:
    loop = asyncio.get_running_loop()
    path = f"\0cede-shortage-{os.getpid()}"
    server = await loop.create_unix_server(lambda: Protocol(ends), path)
    ends.close.append(server)
    transport, _ = await loop.create_unix_connection(lambda: Protocol(ends), path)
    transport.close()


async def datagrams(ends: Ends) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: Datagrams(ends), local_addr=("127.0.0.1", 0))
    await loop.create_datagram_endpoint(lambda: Datagrams(ends), local_addr=("127.0.0.1", 0), remote_addr=("127.0.0.1", 9))


async def socket_operations(ends: Ends) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as listener, socket.socket() as dialler:
        listener.setblocking(False)
        dialler.setblocking(False)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        await loop.sock_connect(dialler, listener.getsockname())
        accepted, _ = await loop.sock_accept(listener)
        accepted.close()


async def child(ends: Ends) -> None:
    loop = asyncio.get_running_loop()
    await loop.subprocess_exec(lambda: Child(ends), sys.executable, "-S", "-c", "pass")


async def child_with_one_stream(ends: Ends) -> None:
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", "exit 3", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    await process.communicate()


async def new_loop(ends: Ends) -> None:
    """Another loop, in a thread: the descriptors of the driver itself."""
    failures: list[BaseException] = []

    def run() -> None:
        coroutine = asyncio.sleep(0)
        try:
            cede.run(coroutine)
        except OSError as error:
            failures.append(error)
            coroutine.close()

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.001)
    if failures:
        raise failures[0]


TLS: tuple[Any, Any] = (None, None)


@pytest.fixture(autouse=True)
def contexts() -> None:
    global TLS
    TLS = (server_context(), client_context())


CASES: list[Callable[[Ends], Coroutine[Any, Any, None]]] = [
    connect, connect_tls, dual_server, unix, datagrams, socket_operations, child, child_with_one_stream, new_loop,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_each_descriptor_may_be_the_one_too_many(loop: Any, case: Callable[[Ends], Coroutine[Any, Any, None]]) -> None:
    if "cede" not in type(loop).__module__:
        pytest.skip("asyncio leaves some open")
    reports: list[str] = []
    loop.set_exception_handler(lambda loop, context: reports.append(f"{context.get('message')}: {context.get('exception')!r}"))

    async def attempt(free: int) -> OSError | None:
        ends = Ends()
        error = None
        with shortage(free):
            try:
                await case(ends)
            except OSError as failure:
                error = failure.with_traceback(None)
        for _ in range(20):  # what the server accepted is told now
            await asyncio.sleep(0)
        for thing in ends.close:
            thing.close()
        await asyncio.gather(*ends.lost)
        for _ in range(20):
            await asyncio.sleep(0)
        return error

    async def main() -> int:
        loop.driver.wakeup_fd()
        before = open_now()
        for free in range(MOST):
            error = await asyncio.wait_for(attempt(free), 60)
            gc.collect()
            left = {number: os.readlink(f"/proc/self/fd/{number}") for number in open_now() - before}
            assert not left, f"with {free} descriptors: {error!r}"
            if error is None:
                return free
        pytest.fail(f"it fails with {MOST} descriptors too: {error!r}")

    assert loop.run_until_complete(main()) >= 1
    assert [report for report in reports if "Too many open files" not in report] == []
