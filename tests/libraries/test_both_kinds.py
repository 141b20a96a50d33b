"""Libraries that take plain functions and coroutine functions, and ask which of the two they were given.

A method that they take for a plain one is called, and what it returned is dropped.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.libraries.served import library


def test_aiostreams_action(run: Any) -> None:
    stream: Any = library("aiostream.stream")

    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue(2)
        taken: list[int] = []

        async def take() -> None:
            while len(taken) < 10:
                taken.append(await queue.get())

        taker = asyncio.create_task(take())
        await (stream.range(10) | stream.action.pipe(queue.put))
        await taker
        assert taken == list(range(10))

        event = asyncio.Event()
        asyncio.get_running_loop().call_soon(event.set)
        assert await stream.list(stream.call(event.wait)) == [True]

    run(main)


def test_starlettes_background_tasks(run: Any) -> None:
    background: Any = library("starlette.background")

    async def main() -> None:
        queue, lock, event = asyncio.Queue[str](), asyncio.Lock(), asyncio.Event()
        tasks = background.BackgroundTasks()
        tasks.add_task(queue.put, "item")
        tasks.add_task(lock.acquire)
        tasks.add_task(event.set)  # a plain one, which runs on a thread
        tasks.add_task(event.wait)
        await tasks()
        assert queue.get_nowait() == "item"
        assert lock.locked()

    run(main)


@pytest.mark.parametrize("call", ["method", "partial"])
def test_apschedulers_jobs(run: Any, call: str) -> None:
    library("apscheduler")
    from functools import partial

    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    async def main() -> None:
        queue, semaphore = asyncio.Queue[str](), asyncio.Semaphore(1)
        scheduler = AsyncIOScheduler(timezone="UTC")
        scheduler.start()
        scheduler.add_job(queue.put if call == "method" else partial(queue.put), args=["item"])
        scheduler.add_job(semaphore.acquire)
        assert await queue.get() == "item"
        while not semaphore.locked():
            await asyncio.sleep(0)
        scheduler.shutdown()

    run(main)


def test_tenacitys_retries(run: Any) -> None:
    tenacity: Any = library("tenacity")

    async def main() -> None:
        queue, lock = asyncio.Queue[int](1), asyncio.Lock()
        again = tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_none())
        await again(queue.put)(1)
        assert await again(lock.acquire)()
        assert queue.get_nowait() == 1
        assert lock.locked()

        retrying = tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(3))
        await retrying(queue.put, 2)
        assert await again(queue.get)() == 2

    run(main)
