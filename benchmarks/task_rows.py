"""What the task rows do. Each body performs `n` operations and returns the seconds they took, without its set-up."""

from __future__ import annotations

import asyncio
import importlib
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.clocks import active
from benchmarks.loops import OWN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Bench:
    """A loop, and the functions a program on it would call."""

    def __init__(self, contestant: str, loop: asyncio.AbstractEventLoop) -> None:
        self.contestant = contestant
        self.loop = loop
        self.sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
        self.create_task: Callable[[Coroutine[Any, Any, None]], Awaitable[None]] = asyncio.create_task
        self.streams: Any = asyncio
        """What has `open_connection` and `start_server`."""
        if contestant == OWN:
            cede = importlib.import_module("cede")
            self.sleep = cede.sleep
            self.create_task = cede.create_task
            self.streams = cede


Body = Callable[[Bench, int], Awaitable[float]]


async def nothing() -> None:
    """The cheapest coroutine."""


def ignore(*args: object) -> None:
    """The cheapest callback."""


async def sleep0(b: Bench, n: int) -> float:
    """One task gives way again and again."""
    sleep = b.sleep
    start = active()
    for _ in range(n):
        await sleep(0)
    return active() - start


@asynccontextmanager
async def idle_connection(b: Bench) -> AsyncIterator[None]:
    """A client connection of the loop on which nothing ever arrives."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport, _ = await b.loop.create_connection(asyncio.Protocol, "127.0.0.1", listener.getsockname()[1])
        far, _ = listener.accept()
        with far:
            yield
            transport.close()
            await asyncio.sleep(0)


async def sleep0_connected(b: Bench, n: int) -> float:
    """As `sleep0`, on a loop that has something to poll.

    With nothing registered a loop may skip the system call that real programs pay.
    """
    async with idle_connection(b):
        return await sleep0(b, n)


async def sleep0_100(b: Bench, n: int) -> float:
    """A hundred tasks take turns."""
    each = max(n // 100, 1)
    sleep = b.sleep

    async def turn() -> None:
        for _ in range(each):
            await sleep(0)

    tasks = [asyncio.create_task(turn()) for _ in range(100)]
    start = active()
    for task in tasks:
        await task
    return (active() - start) * n / (each * 100)


async def create(b: Bench, n: int) -> float:
    """A task that does nothing is made and awaited."""
    create_task = b.create_task
    start = active()
    for _ in range(n):
        await create_task(nothing())
    return active() - start


async def future(b: Bench, n: int) -> float:
    """A callback sets the result that a task waits for."""
    loop = b.loop
    start = active()
    for _ in range(n):
        waiter: asyncio.Future[None] = loop.create_future()
        loop.call_soon(waiter.set_result, None)
        await waiter
    return active() - start


async def call_soon(b: Bench, n: int) -> float:
    """A callback schedules the next one."""
    loop = b.loop
    done: asyncio.Future[float] = loop.create_future()
    left = n

    def again() -> None:
        nonlocal left
        left -= 1
        if left > 0:
            loop.call_soon(again)
        else:
            done.set_result(active())

    start = active()
    loop.call_soon(again)
    return await done - start


async def call_later_cancel(b: Bench, n: int) -> float:
    """A timer that never fires; the loop gets a turn after each hundred, since some loops clean up only then."""
    loop = b.loop
    start = active()
    for i in range(n):
        loop.call_later(60, ignore).cancel()
        if i % 100 == 99:
            await asyncio.sleep(0)
    return active() - start


async def timers(b: Bench, n: int) -> float:
    """A thousand timers in mixed order, all due at once, are scheduled and fire."""
    loop = b.loop
    rounds = max(n // 1000, 1)
    steps = [(i * 389 % 1000) * 1e-9 for i in range(1000)]
    start = active()
    for _ in range(rounds):
        fired: asyncio.Future[None] = loop.create_future()
        now = loop.time()
        for step in steps:
            loop.call_at(now + step, ignore)
        loop.call_at(now + 1e-6, fired.set_result, None)
        await fired
    return (active() - start) * n / (rounds * 1000)


async def gather_1000(b: Bench, n: int) -> float:
    """A thousand coroutines become tasks and are awaited together."""
    rounds = max(n // 1000, 1)
    start = active()
    for _ in range(rounds):
        await asyncio.gather(*[nothing() for _ in range(1000)])
    return (active() - start) * n / (rounds * 1000)


async def queue(b: Bench, n: int) -> float:
    """Two tasks and a queue of one place: each item costs both a wait."""
    line: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce() -> None:
        for i in range(n):
            await line.put(i)

    start = active()
    producer = asyncio.create_task(produce())
    for _ in range(n):
        await line.get()
    await producer
    return active() - start


async def timeout(b: Bench, n: int) -> float:
    """A time limit that is never reached."""
    start = active()
    for _ in range(n):
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
    return active() - start


async def deep_await(b: Bench, n: int) -> float:
    """Giving way below a thousand awaiting frames: that the interpreter walks them all is in every loop's figure."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))

    async def below(depth: int) -> float:
        if depth:
            return await below(depth - 1)
        return await sleep0(b, n)

    return await below(1000)


BODIES: dict[str, Body] = {
    "task.sleep0": sleep0,
    "task.sleep0-connected": sleep0_connected,
    "task.sleep0-100": sleep0_100,
    "task.create": create,
    "task.future": future,
    "task.call-soon": call_soon,
    "task.call-later-cancel": call_later_cancel,
    "task.timers": timers,
    "task.gather-1000": gather_1000,
    "task.queue": queue,
    "task.timeout": timeout,
    "task.deep-await": deep_await,
}
