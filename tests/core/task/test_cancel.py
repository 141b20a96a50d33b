"""Cancelling: counted, passed on, delivered once."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from typing import Any

import pytest


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def test_a_task_that_cancels_itself(run: Callable[..., Any]) -> None:
    seen: list[str] = []

    async def suicidal() -> None:
        task = asyncio.current_task()
        assert task is not None
        assert task.cancel()
        seen.append("goes on to the next await")
        await asyncio.sleep(0)
        seen.append("never")

    async def main() -> None:
        task = asyncio.create_task(suicidal())
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run(main)
    assert seen == ["goes on to the next await"]


def test_a_task_that_cancels_itself_and_returns(run: Callable[..., Any]) -> None:
    async def suicidal() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("at the end")
        return "lost"

    async def main() -> None:
        task = asyncio.create_task(suicidal())
        with pytest.raises(asyncio.CancelledError, match="at the end"):
            await task
        assert task.cancelled()

    run(main)


def test_a_task_cancelled_before_its_first_step(run: Callable[..., Any]) -> None:
    seen: list[str] = []

    async def child() -> None:
        seen.append("began")

    async def main() -> None:
        task = asyncio.create_task(child())
        assert task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert not task.cancel(), "done"

    run(main)
    assert seen == []


def test_a_task_that_will_not_die_is_asked_again_and_again(run: Callable[..., Any]) -> None:
    seen: list[int] = []

    async def stubborn() -> str:
        for number in range(3):
            try:
                await forever()
            except asyncio.CancelledError:
                seen.append(number)
        return "in the end"

    async def main() -> None:
        task = asyncio.create_task(stubborn())
        for number in range(3):
            await asyncio.sleep(0)
            task.cancel()
            assert task.cancelling() == number + 1
        assert await task == "in the end"
        assert not task.cancelled()

    run(main)
    assert seen == [0, 1, 2]


def test_two_requests_in_a_row_are_counted_and_delivered_once(run: Callable[..., Any]) -> None:
    seen: list[str] = []

    async def child() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            seen.append("cancelled")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        seen.append("left in peace")

    async def main() -> None:
        task = asyncio.create_task(child())
        await asyncio.sleep(0)
        task.cancel()
        task.cancel()
        assert task.cancelling() == 2
        await task
        assert task.cancelling() == 2
        assert task.uncancel() == 1
        assert task.uncancel() == 0
        assert task.uncancel() == 0, "never below none"

    run(main)
    assert seen == ["cancelled", "left in peace"]


def test_a_request_behind_a_wake_up_is_not_lost(run: Callable[..., Any]) -> None:
    """The future is done, its task is queued and has not run yet: the request must still be delivered."""

    async def child(future: Any) -> str:
        return str(await future)

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(child(future))
        await asyncio.sleep(0)
        future.set_result("too late")
        assert task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_a_request_is_passed_down_the_chain(run: Callable[..., Any]) -> None:
    seen: list[str] = []

    async def level(number: int) -> None:
        try:
            if number:
                await asyncio.create_task(level(number - 1))
            else:
                await forever()
        except asyncio.CancelledError as error:
            seen.append(f"{number} {error}")
            raise

    async def main() -> None:
        task = asyncio.create_task(level(3))
        for _ in range(6):
            await asyncio.sleep(0)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError, match="why"):
            await task

    run(main)
    assert [line.split()[0] for line in seen] == ["0", "1", "2", "3"]
    assert seen[0] == "0 why"


def test_shield_keeps_the_inner_one_alive(run: Callable[..., Any]) -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def inner() -> str:
            await release.wait()
            return "survived"

        task = asyncio.create_task(inner())
        outer = asyncio.create_task(asyncio.wait_for(asyncio.shield(task), 3600))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert not task.done()
        release.set()
        assert await task == "survived"

    run(main)


def test_a_timeout_counts_and_takes_back(run: Callable[..., Any]) -> None:
    async def main() -> None:
        me = asyncio.current_task()
        assert me is not None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await forever()
        assert me.cancelling() == 0
        await asyncio.sleep(0)
        async with asyncio.timeout(None):
            await asyncio.sleep(0)

    run(main)


def test_a_group_cancels_the_others(run: Callable[..., Any]) -> None:
    ended: list[str] = []

    async def wait(name: str) -> None:
        try:
            await forever()
        finally:
            ended.append(name)

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def main() -> None:
        me = asyncio.current_task()
        assert me is not None
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(wait("a"))
                group.create_task(wait("b"))
                group.create_task(fail())
        assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
        assert sorted(ended) == ["a", "b"]
        if sys.version_info >= (3, 13):  # before, asyncio's group did not take its request back
            assert me.cancelling() == 0

    run(main)


def test_the_cancelled_error_carries_the_message_once(run: Callable[..., Any]) -> None:
    async def child() -> None:
        await forever()

    async def main() -> None:
        task = asyncio.create_task(child())
        await asyncio.sleep(0)
        task.cancel("message")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == ("message",)

    run(main)


def test_random_cancellation_storms_match_the_count(run: Callable[..., Any], rng: random.Random) -> None:
    """Whatever happens when: each task ends, and those that were cancelled while they waited end as cancelled."""

    async def worker(steps: int, queue: asyncio.Queue[int]) -> int:
        total = 0
        for _ in range(steps):
            kind = rng.randrange(4)
            if kind == 0:
                await asyncio.sleep(0)
            elif kind == 1:
                await asyncio.sleep(rng.random() / 1000)
            elif kind == 2:
                queue.put_nowait(1)
            else:
                queue.put_nowait(1)
                total += await queue.get()
        return total

    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        tasks = [asyncio.create_task(worker(rng.randrange(20), queue)) for _ in range(200)]
        asked = set()
        for _ in range(300):
            task = rng.choice(tasks)
            if task.cancel():
                asked.add(task)
            await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.done() for task in tasks)
        for task, result in zip(tasks, results, strict=True):
            assert task.cancelled() == (task in asked)
            assert isinstance(result, asyncio.CancelledError) == task.cancelled()

    run(main)
