"""In which turn groups end, and what runs before: as with asyncio's, whose callback for the last task takes a turn of its own."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

import cede

Run = Callable[..., Any]


class Turns:
    """A task that counts the turns of the loop, and says in which one something happened."""

    def __init__(self) -> None:
        self.turn = 0
        self.seen: list[tuple[str, int]] = []
        self.task = asyncio.get_running_loop().create_task(self.count())

    async def count(self) -> None:
        while True:
            self.turn += 1
            await asyncio.sleep(0)

    def tell(self, what: str) -> None:
        self.seen.append((what, self.turn))

    async def body(self, name: str, turns: int, fails: bool = False) -> str:
        for _ in range(turns):
            await asyncio.sleep(0)
        self.tell(name)
        if fails:
            raise ValueError(name)
        return name


async def wait_by_group(ns: Any, turns: Turns, fails: bool) -> None:
    try:
        async with ns.TaskGroup() as group:
            group.create_task(turns.body("one", 1))
            group.create_task(turns.body("two", 3, fails))
            group.create_task(turns.body("three", 3))
    except* ValueError:
        turns.tell("failed")


async def wait_by_gather(ns: Any, turns: Turns, fails: bool) -> None:
    try:
        await ns.gather(turns.body("one", 1), turns.body("two", 3, fails), turns.body("three", 3))
    except ValueError:
        turns.tell("failed")


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("wait", [wait_by_group, wait_by_gather])
def test_a_group_ends_in_the_turn_after_its_last_task(run: Run, ns: Any, wait: Any, fails: bool) -> None:
    async def main() -> list[tuple[str, int]]:
        turns = Turns()
        await wait(ns, turns, fails)
        turns.tell("end")
        turns.task.cancel()
        return turns.seen

    expected = [("one", 2), ("two", 4), ("three", 4), *([("failed", 6)] if fails else []), ("end", 6)]
    assert run(main) == expected


@pytest.mark.parametrize("wait", [wait_by_group, wait_by_gather])
def test_what_was_ready_runs_before_the_end_of_a_group(run: Run, ns: Any, wait: Any) -> None:
    """Something that the last task schedules runs before whoever waits for the group goes on."""

    async def main() -> list[str]:
        seen: list[str] = []
        loop = asyncio.get_running_loop()

        async def last() -> None:
            loop.call_soon(seen.append, "scheduled")

        if wait is wait_by_group:
            async with ns.TaskGroup() as group:
                group.create_task(last())
        else:
            await ns.gather(last())
        seen.append("end")
        return seen

    assert run(main) == ["scheduled", "end"]


def test_a_group_takes_tasks_until_it_has_seen_the_last_one(run: Run, ns: Any) -> None:
    async def main() -> list[str]:
        seen: list[str] = []

        async def late() -> None:
            seen.append("late")

        async def other(group: Any, task: Any) -> None:
            while not task.done():
                await asyncio.sleep(0)
            group.create_task(late())

        async def first() -> None:
            await asyncio.sleep(0)

        async with ns.TaskGroup() as group:
            task = group.create_task(first())
            stranger = asyncio.get_running_loop().create_task(other(group, task))
        seen.append("end")
        await stranger
        return seen

    assert run(main) == ["late", "end"]


def test_a_block_that_ends_as_its_last_task_did_waits_for_it_to_be_seen(run: Run, ns: Any) -> None:
    async def main() -> int:
        turns = Turns()
        async with ns.TaskGroup() as group:
            task = group.create_task(turns.body("task", 0))
            while not task.done():
                await asyncio.sleep(0)
            before = turns.turn
        turns.task.cancel()
        return turns.turn - before

    assert run(main) == 2


def test_a_stopped_group_cancels_in_the_order_of_coming(run: Run) -> None:
    async def main() -> list[int]:
        seen: list[int] = []

        async def wait_until_cancelled(number: int) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                seen.append(number)

        async with cede.TaskGroup() as group:
            for number in range(100):
                group.create_task(wait_until_cancelled(number))
            await asyncio.sleep(0)
            group.cancel()
        return seen

    assert run(main) == list(range(100))


def test_a_mixed_gathering_counts_in_the_order_of_ending(run: Run, ns: Any) -> None:
    """A child that somebody else waits for tells by a callback, a child that nobody waits for need not: the order is the same."""

    async def main() -> list[str]:
        seen: list[str] = []
        loop = asyncio.get_running_loop()

        async def body(name: str) -> None:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            loop.call_soon(seen.append, name)

        watched = loop.create_task(body("watched"))
        watched.add_done_callback(lambda task: seen.append("callback"))
        alone = loop.create_task(body("alone"))
        gathering = ns.gather(alone, watched)
        gathering.add_done_callback(lambda task: seen.append("gathered"))
        await gathering
        return seen

    assert run(main) == ["watched", "callback", "alone", "gathered"]


def test_posts_of_the_loops_own_thread_stand_in_line(run: Run) -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        loop = asyncio.get_running_loop()

        async def task(name: str) -> None:
            seen.append(name)

        loop.call_soon_threadsafe(seen.append, "post")
        first = loop.create_task(task("task"))
        loop.call_soon_threadsafe(seen.append, "second post")
        loop.call_soon(seen.append, "callback")
        second = loop.create_task(task("second task"))
        await asyncio.wait([first, second])
        return seen

    assert run(main) == ["post", "task", "second post", "callback", "second task"]


def test_a_limit_that_a_long_step_passed_comes_behind_what_is_ready(run: Run, ns: Any) -> None:
    """The step that begins the wait takes longer than the limit, and the next one ends it."""

    async def slow() -> str:
        until = time.monotonic() + 0.02
        while time.monotonic() < until:
            pass
        await asyncio.sleep(0)
        return "ended"

    async def main() -> str:
        return str(await ns.wait_for(slow(), 0.01))

    if ns is asyncio and sys.version_info < (3, 12):
        pytest.skip("wait_for has a task of its own in 3.11")
    assert run(main) == "ended"
