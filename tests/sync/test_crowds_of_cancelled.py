"""Many who wait are cancelled at once: each is looked at a few times, not as often as there are others. Else these would take hours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import cede
from cede.core.scheduler.kernel import COMPILED

CROWD = 100_000 if COMPILED else 20_000


async def cancel_crowd(wait: Callable[[], Any], meanwhile: Callable[[], Any]) -> None:
    tasks = [asyncio.create_task(wait()) for _ in range(CROWD)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    # Compiled, whoever is cancelled leaves from anywhere. Uncompiled a deque is searched, as asyncio's: from the front that is short.
    half = CROWD // 2 if COMPILED else 0
    for task in (*reversed(tasks[:half]), *tasks[half:]):
        task.cancel()
    for _ in range(CROWD):
        meanwhile()  # while those who are cancelled do not know it yet
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.cancelled() for task in tasks)


async def held_lock() -> tuple[Any, Any, Any]:
    lock = cede.Lock()
    await lock.acquire()
    return lock.acquire, lambda: lock.locked(), lock


async def semaphore() -> tuple[Any, Any, Any]:
    permits = cede.Semaphore(1)
    await permits.acquire()

    def meanwhile() -> None:
        if permits._value == 0:  # type: ignore[attr-defined]
            permits.release()
        assert not permits.locked()

    return permits.acquire, meanwhile, permits


async def event() -> tuple[Any, Any, Any]:
    flag = cede.Event()

    def meanwhile() -> None:
        flag.set()
        flag.clear()

    # Uncompiled each of these looks at everybody, as asyncio's does.
    return flag.wait, meanwhile if COMPILED else flag.is_set, flag


async def getters() -> tuple[Any, Any, Any]:
    queue: Any = cede.Queue()

    def meanwhile() -> None:
        queue.put_nowait(0)
        queue.get_nowait()

    return queue.get, meanwhile, queue


async def putters() -> tuple[Any, Any, Any]:
    queue: Any = cede.Queue(1)
    queue.put_nowait(0)

    def meanwhile() -> None:
        queue.get_nowait()
        queue.put_nowait(0)

    return lambda: queue.put(1), meanwhile, queue


async def receivers() -> tuple[Any, Any, Any]:
    sender, receiver = cede.channel(1)

    def meanwhile() -> None:
        sender.send_nowait(0)
        receiver.receive_nowait()

    return receiver.receive, meanwhile, (sender, receiver)


@pytest.mark.timeout(100)
@pytest.mark.parametrize("make", [held_lock, semaphore, event, getters, putters, receivers])
def test_a_crowd_that_waits_is_cancelled(make: Callable[[], Any]) -> None:
    async def main() -> None:
        wait, meanwhile, kept = await make()
        await cancel_crowd(wait, meanwhile)
        del kept

    cede.run(main())


@pytest.mark.timeout(100)
def test_a_lock_that_is_released_over_a_crowd() -> None:
    async def main() -> None:
        lock = cede.Lock()
        await lock.acquire()
        tasks = [asyncio.create_task(lock.acquire()) for _ in range(CROWD)]
        last = asyncio.create_task(lock.acquire())
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        lock.release()
        assert await last
        await asyncio.gather(*tasks, return_exceptions=True)
        assert lock.locked()

    cede.run(main())
