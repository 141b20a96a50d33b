"""What the rows of the primitives do: cede's own classes on cede, asyncio's on every loop. See task_rows for the form of a body."""

from __future__ import annotations

import asyncio
import importlib
import threading
from typing import TYPE_CHECKING, Any

from benchmarks.clocks import active
from benchmarks.loops import OWN

if TYPE_CHECKING:
    from benchmarks.task_rows import Bench, Body


def names_of(b: Bench) -> Any:
    """Whose primitives are measured."""
    return importlib.import_module("cede") if b.contestant == OWN else asyncio


async def queue(b: Bench, n: int) -> float:
    """Two tasks and a queue of one place: each item costs both a wait."""
    line = names_of(b).Queue(1)

    async def produce() -> None:
        for i in range(n):
            await line.put(i)

    start = active()
    producer = b.create_task(produce())
    for _ in range(n):
        await line.get()
    await producer
    return active() - start


async def queue_free(b: Bench, n: int) -> float:
    """One task puts an item and gets it back: nobody ever waits."""
    line = names_of(b).Queue()
    start = active()
    for i in range(n):
        await line.put(i)
        await line.get()
    return active() - start


async def lock(b: Bench, n: int) -> float:
    """A lock that nobody else wants."""
    guard = names_of(b).Lock()
    start = active()
    for _ in range(n):
        async with guard:
            pass
    return active() - start


async def lock_contended(b: Bench, n: int) -> float:
    """Ten tasks pass a lock on: each acquisition costs a wait."""
    guard = names_of(b).Lock()
    each = max(n // 10, 1)

    async def user() -> None:
        for _ in range(each):
            await guard.acquire()
            guard.release()

    await guard.acquire()
    tasks = [asyncio.create_task(user()) for _ in range(10)]
    await asyncio.sleep(0)
    start = active()
    guard.release()
    for task in tasks:
        await task
    return (active() - start) * n / (10 * each)


async def event(b: Bench, n: int) -> float:
    """Two tasks wake each other by two events, there and back."""
    names = names_of(b)
    there, back = names.Event(), names.Event()

    async def other() -> None:
        for _ in range(n):
            await there.wait()
            there.clear()
            back.set()

    task = b.create_task(other())
    start = active()
    for _ in range(n):
        there.set()
        await back.wait()
        back.clear()
    await task
    return active() - start


async def semaphore(b: Bench, n: int) -> float:
    """A semaphore that has a permit."""
    guard = names_of(b).Semaphore(1)
    start = active()
    for _ in range(n):
        async with guard:
            pass
    return active() - start


async def condition(b: Bench, n: int) -> float:
    """Two tasks take turns by one condition."""
    changed = names_of(b).Condition()
    turn = 0

    async def user(me: int) -> None:
        nonlocal turn
        for _ in range(n // 2):
            async with changed:
                while turn != me:
                    await changed.wait()
                turn = 1 - me
                changed.notify()

    start = active()
    other = b.create_task(user(1))
    await user(0)
    await other
    return active() - start


async def channel(b: Bench, n: int) -> float:
    """Two tasks and a hundred places between them: a channel and ``async for``; asyncio, which has none, by its queue."""
    if b.contestant != OWN:
        line: asyncio.Queue[int] = asyncio.Queue(100)

        async def put() -> None:
            for i in range(n):
                await line.put(i)

        start = active()
        producer = b.create_task(put())
        for _ in range(n):
            await line.get()
        await producer
        return active() - start
    sender, receiver = names_of(b).channel(100)

    async def produce() -> None:
        with sender:
            for i in range(n):
                await sender.send(i)

    start = active()
    producer = b.create_task(produce())
    async for _ in receiver:
        pass
    await producer
    return active() - start


async def thread_channel(b: Bench, n: int) -> float:
    """A thread hands items to a task, one by one, at most 4,096 ahead; elsewhere by a queue and `call_soon_threadsafe`."""
    if b.contestant != OWN:
        loop, line = asyncio.get_running_loop(), asyncio.Queue[int]()
        room = threading.BoundedSemaphore(4096)

        def hand_over() -> None:
            for i in range(n):
                room.acquire()
                loop.call_soon_threadsafe(line.put_nowait, i)

        thread = threading.Thread(target=hand_over)
        start = active()
        thread.start()
        for _ in range(n):
            await line.get()
            room.release()
        taken = active() - start
        thread.join()
        return taken
    channel = names_of(b).thread_channel(4096)

    def put() -> None:
        with channel:
            for i in range(n):
                channel.put(i)

    thread = threading.Thread(target=put)
    start = active()
    thread.start()
    async for _ in channel:
        pass
    taken = active() - start
    thread.join()
    return taken


BODIES: dict[str, Body] = {
    "sync.queue": queue,
    "sync.queue-free": queue_free,
    "sync.lock": lock,
    "sync.lock-contended": lock_contended,
    "sync.event": event,
    "sync.semaphore": semaphore,
    "sync.condition": condition,
    "sync.channel": channel,
    "sync.thread-channel": thread_channel,
}
