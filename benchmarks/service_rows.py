"""What the rows of processes, names, threads and sleepers do. Each body performs `n` operations and returns the seconds they took."""

from __future__ import annotations

import asyncio
import importlib
import shutil
import socket
import threading
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.clocks import active
from benchmarks.loops import OWN
from benchmarks.task_rows import ignore
from benchmarks.work import Work

if TYPE_CHECKING:
    from benchmarks.task_rows import Bench

FIRST_WAKES, LAST_WAKES = 0.5, 1.5
"""Seconds after the beginning at which the first and the last of the sleeping tasks are due."""


async def subprocess_wait(b: Bench, n: int) -> float:
    """A program that does nothing is started, without pipes, and waited for."""
    program = shutil.which("true") or "/bin/true"
    start = active()
    for _ in range(n):
        process = await asyncio.create_subprocess_exec(program)
        if await process.wait():
            raise RuntimeError(f"{program} ended with {process.returncode}")
    return active() - start


async def literal(b: Bench, n: int) -> float:
    """An address that is spelt out in numbers, as every connection to one asks for it."""
    loop = b.loop
    start = active()
    for _ in range(n):
        await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    return active() - start


async def localhost(b: Bench, n: int) -> float:
    """A name from the hosts file, one look-up after another."""
    loop = b.loop
    start = active()
    for _ in range(n):
        await loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    return active() - start


async def to_thread(b: Bench, n: int) -> float:
    """A function that does nothing runs on a thread and is awaited."""
    start = active()
    for _ in range(n):
        await asyncio.to_thread(ignore)
    return active() - start


async def to_process(b: Bench, n: int) -> float:
    """A function that does nothing runs in a process and is awaited: by `to_process`, elsewhere by concurrent.futures.

    The processes are there before the time begins.
    """
    if b.contestant == OWN:
        to_process = importlib.import_module("cede").to_process
        await to_process(ignore)
        start = active()
        for _ in range(n):
            await to_process(ignore)
        return active() - start
    call = b.loop.run_in_executor
    with ProcessPoolExecutor() as pool:
        await call(pool, ignore)
        start = active()
        for _ in range(n):
            await call(pool, ignore)
        return active() - start


async def threadsafe(b: Bench, n: int) -> float:
    """Another thread posts one callback after another; the time is from its first post until the loop has run the last."""
    loop = b.loop
    done: asyncio.Future[float] = loop.create_future()
    go = threading.Event()
    began = 0.0

    def post() -> None:
        nonlocal began
        go.wait()
        began = active()
        call = loop.call_soon_threadsafe
        for _ in range(n - 1):
            call(ignore)
        call(finish)

    def finish() -> None:
        done.set_result(active())

    poster = threading.Thread(target=post)
    poster.start()
    go.set()
    ended = await done
    poster.join()
    return ended - began


async def sleepers(b: Bench, n: int) -> float:
    """Tasks that sleep, in mixed order, until deadlines spread over a second: from the making of the first until the last has ended.

    By the wall clock: deadlines do not stand still while the process waits for a CPU.
    """
    sleep = b.sleep

    async def one(delay: float) -> None:
        await sleep(delay)

    step = (LAST_WAKES - FIRST_WAKES) / n
    start = perf_counter()
    tasks = [b.create_task(one(FIRST_WAKES + (i * 7919 % n) * step)) for i in range(n)]
    for task in tasks:
        await task
    return perf_counter() - start


async def connect_echo_close(b: Bench, n: int) -> float:
    """Streams, both ends on one loop: connect, one message there and back, close, and wait until it is closed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))
        await reader.read()
        writer.close()

    server = await b.streams.start_server(serve, "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    start = active()
    for _ in range(n):
        reader, writer = await b.streams.open_connection(host, port)
        writer.write(b"hello")
        if await reader.readexactly(5) != b"hello":
            raise RuntimeError("the echo differs")
        writer.close()
        await writer.wait_closed()
    took = active() - start
    server.close()
    await server.wait_closed()
    return took


WORK: dict[str, Work] = {
    "work.subprocess": Work(subprocess_wait, least=5),
    "work.literal": Work(literal, least=100),
    "work.localhost": Work(localhost, least=100),
    "work.to-thread": Work(to_thread, least=100),
    "work.to-process": Work(to_process, least=100),
    "work.threadsafe": Work(threadsafe, least=100),
    "work.sleepers": Work(sleepers, once=True),
    "work.connect": Work(connect_echo_close, least=20),
}
