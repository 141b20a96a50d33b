"""What 100,000 finished tasks may look like. Each scenario runs `count` of them on a loop, and keeps none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

BATCH = 100


class Expected(Exception):
    pass


def silent(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    assert isinstance(context.get("exception"), Expected), context


async def in_batches(count: int, start: Callable[[], Any], end: Callable[[list[Any]], Any] | None = None) -> None:
    for _ in range(count // BATCH):
        tasks = [start() for _ in range(BATCH)]
        if end is not None:
            await end(tasks)
        done, pending = await asyncio.wait(tasks)
        assert not pending
        for task in done:
            if not task.cancelled():
                task.exception()


async def give() -> int:
    await asyncio.sleep(0)
    return 1


async def fail() -> None:
    await asyncio.sleep(0)
    raise Expected


async def fail_at_once() -> None:
    raise Expected


async def wait() -> None:
    await asyncio.get_running_loop().create_future()


async def returned(count: int) -> None:
    await in_batches(count, lambda: asyncio.ensure_future(give()))


async def raised(count: int) -> None:
    await in_batches(count, lambda: asyncio.ensure_future(fail()))


async def raised_and_dropped(count: int) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(silent)
    for _ in range(count // BATCH):
        for _ in range(BATCH):
            loop.create_task(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def cancelled(count: int) -> None:
    async def cancel(tasks: list[Any]) -> None:
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()

    await in_batches(count, lambda: asyncio.ensure_future(wait()), cancel)


async def cancelled_before_the_first_step(count: int) -> None:
    async def cancel(tasks: list[Any]) -> None:
        for task in tasks:
            task.cancel()

    await in_batches(count, lambda: asyncio.ensure_future(give()), cancel)


async def timed_out(count: int) -> None:
    async def limited() -> None:
        try:
            async with asyncio.timeout(0):
                await wait()
        except TimeoutError:
            return
        raise AssertionError("no timeout")

    await in_batches(count, lambda: asyncio.ensure_future(limited()))


async def timed_out_by_wait_for(count: int) -> None:
    async def limited() -> None:
        try:
            await asyncio.wait_for(wait(), 0.000_001)
        except TimeoutError:
            return
        raise AssertionError("no timeout")

    await in_batches(count, lambda: asyncio.ensure_future(limited()))


async def awaited_one_by_one(count: int) -> None:
    for _ in range(count // 2):
        await asyncio.ensure_future(give())
        try:
            await asyncio.ensure_future(fail_at_once())
        except Expected:
            pass


async def gathered(count: int) -> None:
    for _ in range(count // BATCH):
        await asyncio.gather(*(give() for _ in range(BATCH)))
        await asyncio.gather(*(fail() for _ in range(2)), return_exceptions=True)


async def grouped(count: int) -> None:
    for _ in range(count // BATCH):
        async with asyncio.TaskGroup() as group:
            for _ in range(BATCH):
                group.create_task(give())


async def eager(count: int) -> None:
    loop: Any = asyncio.get_running_loop()
    for number in range(count // BATCH):
        started = [loop.create_task(fail_at_once() if number % 2 else give(), eager_start=True) for _ in range(BATCH)]
        for task in started:
            try:
                await task
            except Expected:
                pass
        del started, task  # their tracebacks hold this frame


def turns() -> Any:
    yield
    yield


async def generators(count: int) -> None:
    loop: Any = asyncio.get_running_loop()
    await in_batches(count, lambda: loop.create_task(turns()))


async def futures(count: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(count // 2):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future
        future = loop.create_future()
        loop.call_soon(future.set_exception, Expected())
        try:
            await future
        except Expected:
            pass


async def callbacks(count: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(count // BATCH):
        for _ in range(BATCH):
            loop.call_soon(int)
        await asyncio.sleep(0)


async def timers(count: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(count // BATCH):
        handles = [loop.call_later(3600, print, object()) for _ in range(BATCH)]
        for handle in handles:
            handle.cancel()
        for _ in range(BATCH):
            loop.call_later(0, int)
        await asyncio.sleep(0)


SCENARIOS: list[Callable[[int], Coroutine[Any, Any, None]]] = [
    returned, raised, raised_and_dropped, cancelled, cancelled_before_the_first_step, timed_out, timed_out_by_wait_for, awaited_one_by_one,
    gathered, grouped, eager, generators, futures, callbacks, timers,
]  # fmt: skip
