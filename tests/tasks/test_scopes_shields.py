"""Shields: AnyIO's against cede's scopes, and cede's against what a group does when one of its tasks fails. AnyIO is the oracle."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import cede

Run = Callable[..., Any]
NEVER = 1000.0


async def sleeps() -> None:
    await asyncio.sleep(0.005)


async def gives_way() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def waits_for_an_event() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(0.005, event.set)
    await event.wait()


async def waits_for_a_task() -> None:
    await asyncio.create_task(sleeps())


async def checkpoints() -> None:
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


async def waits_often() -> None:
    for _ in range(20):
        await asyncio.sleep(0.0001)


CLEANINGS = (sleeps, gives_way, waits_for_an_event, waits_for_a_task, checkpoints, waits_often)


async def library(done: list[str], cleaning: Callable[[], Any], early: bool = False) -> None:
    """Written on AnyIO. early: in the shield already when the cancellation comes."""
    try:
        if not early:
            await anyio.sleep(NEVER)
    finally:
        with anyio.CancelScope(shield=True):
            if early:
                await anyio.sleep(0.02)
            await cleaning()
            done.append("cleaned up")
        try:
            await anyio.sleep(NEVER)
        except asyncio.CancelledError:
            done.append("cancelled behind the shield")
            raise


async def by_time(work: Callable[[], Any]) -> None:
    with cede.move_on_after(0.005) as scope:
        await work()
    assert scope.cancelled_caught


async def by_hand(work: Callable[[], Any]) -> None:
    with cede.CancelScope() as scope:
        asyncio.get_running_loop().call_later(0.005, scope.cancel)
        await work()
    assert scope.cancelled_caught


async def from_further_out(work: Callable[[], Any]) -> None:
    with cede.move_on_after(0.005) as scope:
        with cede.CancelScope():
            with anyio.CancelScope():
                await work()
    assert scope.cancelled_caught


async def in_a_group(work: Callable[[], Any]) -> None:
    with cede.move_on_after(0.005) as scope:
        async with cede.TaskGroup() as group:
            group.create_task(work())
    assert scope.cancelled_caught


async def in_a_group_of_anyio(work: Callable[[], Any]) -> None:
    with cede.move_on_after(0.005) as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(work)
    assert scope.cancelled_caught


async def inside_of_another_shield(work: Callable[[], Any]) -> None:
    with anyio.CancelScope(shield=True):
        await by_time(work)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("cleaning", CLEANINGS)
@pytest.mark.parametrize("end", [by_time, by_hand, from_further_out, in_a_group, in_a_group_of_anyio, inside_of_another_shield])
def test_shields_of_anyio_hold(run: Run, end: Callable[..., Any], cleaning: Callable[[], Any], early: bool) -> None:
    async def main() -> list[str]:
        done: list[str] = []
        await end(lambda: library(done, cleaning, early))
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)
        return done

    assert run(main) == ["cleaned up", "cancelled behind the shield"]


def test_scope_inside_of_a_shield_of_anyio_ends(run: Run) -> None:
    async def main() -> None:
        with anyio.CancelScope(shield=True):
            with cede.move_on_after(0.005) as scope:
                await asyncio.sleep(NEVER)
            assert scope.cancelled_caught
            with cede.CancelScope() as outer:
                outer.cancel()
                with anyio.CancelScope(shield=True):
                    with cede.move_on_after(0.005) as scope:
                        await asyncio.sleep(NEVER)
                    assert scope.cancelled_caught
                    await asyncio.sleep(0.001)
                await asyncio.sleep(NEVER)
            assert outer.cancelled_caught

    run(main)


def test_time_limit_of_a_shield_of_anyio(run: Run) -> None:
    async def main() -> None:
        with cede.CancelScope() as outer:
            outer.cancel()
            with anyio.move_on_after(0.005, shield=True) as inner:
                await asyncio.sleep(NEVER)
            assert inner.cancelled_caught
            await asyncio.sleep(NEVER)
        assert outer.cancelled_caught

    run(main)


def test_shield_of_anyio_that_is_taken_away(run: Run) -> None:
    async def main() -> None:
        with cede.CancelScope() as outer:
            with anyio.CancelScope(shield=True) as shield:
                outer.cancel()
                asyncio.get_running_loop().call_later(0.01, setattr, shield, "shield", False)
                await asyncio.sleep(NEVER)
        assert outer.cancelled_caught

    run(main)


def test_anyio_is_not_imported() -> None:
    script = """
import asyncio, sys, cede
async def main():
    with cede.move_on_after(0.001):
        await asyncio.sleep(10)
    async with cede.aiter.buffer([1], 1) as flow:
        await anext(flow)
cede.run(main())
assert not any(name.partition(".")[0] == "anyio" for name in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


class Names:
    """The names of a toolbox, for programs that mean the same by it."""

    def __init__(self, scope: Any, group: Any, start: Callable[..., Any]) -> None:
        self.scope = scope
        self.group = group
        self.start = start


CEDE = Names(cede.CancelScope, cede.TaskGroup, lambda group, function, *args: group.create_task(function(*args)))
ANYIO = Names(anyio.CancelScope, anyio.create_task_group, lambda group, function, *args: group.start_soon(function, *args))


async def fails(seconds: float = 0.002) -> None:
    await asyncio.sleep(seconds)
    raise KeyError("sibling")


async def a_task_in_a_shield(names: Names, told: list[str]) -> None:
    async def shielded() -> None:
        with names.scope(shield=True):
            await asyncio.sleep(0.01)
            told.append("done")
        try:
            await asyncio.sleep(NEVER)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    async with names.group() as group:
        names.start(group, shielded)
        names.start(group, fails)


async def the_block_in_a_shield(names: Names, told: list[str]) -> None:
    async with names.group() as group:
        names.start(group, fails)
        with names.scope(shield=True):
            await asyncio.sleep(0.01)
            told.append("done")
        await asyncio.sleep(NEVER)
        told.append("never")


async def a_shield_in_a_scope_in_a_shield(names: Names, told: list[str]) -> None:
    async def shielded() -> None:
        with names.scope(shield=True):
            with names.scope():
                with names.scope(shield=True):
                    await asyncio.sleep(0.005)
                    told.append("inner")
                await asyncio.sleep(0.005)
            told.append("outer")
        await asyncio.sleep(NEVER)
        told.append("never")

    async with names.group() as group:
        names.start(group, shielded)
        names.start(group, fails)


async def a_shield_around_the_group(names: Names, told: list[str]) -> None:
    async def plain() -> None:
        try:
            await asyncio.sleep(NEVER)
        finally:
            told.append("cancelled")

    with names.scope(shield=True):
        async with names.group() as group:
            names.start(group, plain)
            names.start(group, fails)


async def a_shield_that_is_taken_away(names: Names, told: list[str]) -> None:
    async def shielded() -> None:
        with names.scope(shield=True) as scope:
            asyncio.get_running_loop().call_later(0.01, setattr, scope, "shield", False)
            try:
                await asyncio.sleep(NEVER)
            finally:
                told.append("cancelled")

    async with names.group() as group:
        names.start(group, shielded)
        names.start(group, fails)


async def a_group_in_the_shield(names: Names, told: list[str]) -> None:
    async def child() -> None:
        await asyncio.sleep(0.01)
        told.append("child")

    async def shielded() -> None:
        with names.scope(shield=True):
            async with names.group() as inner:
                names.start(inner, child)
            told.append("group")
        await asyncio.sleep(NEVER)
        told.append("never")

    async with names.group() as group:
        names.start(group, shielded)
        names.start(group, fails)


async def a_shield_that_is_over_before(names: Names, told: list[str]) -> None:
    async def shielded() -> None:
        with names.scope(shield=True):
            await asyncio.sleep(0)
        try:
            await asyncio.sleep(NEVER)
        finally:
            told.append("cancelled")

    async with names.group() as group:
        names.start(group, shielded)
        names.start(group, fails)


async def the_task_ends_with_its_shield(names: Names, told: list[str]) -> None:
    async def shielded() -> None:
        with names.scope(shield=True):
            await asyncio.sleep(0.01)
            told.append("done")

    async with names.group() as group:
        names.start(group, shielded)
        names.start(group, fails)


async def a_shield_with_a_limit_of_its_own(names: Names, told: list[str]) -> None:
    async def shielded() -> None:
        deadline = asyncio.get_running_loop().time() + 0.01
        with names.scope(deadline=deadline, shield=True):
            await asyncio.sleep(NEVER)
        told.append("over")
        await asyncio.sleep(NEVER)
        told.append("never")

    async with names.group() as group:
        names.start(group, shielded)
        names.start(group, fails)


PROGRAMS = (
    a_task_in_a_shield,
    the_block_in_a_shield,
    a_shield_in_a_scope_in_a_shield,
    a_shield_around_the_group,
    a_shield_that_is_taken_away,
    a_group_in_the_shield,
    a_shield_that_is_over_before,
    the_task_ends_with_its_shield,
    a_shield_with_a_limit_of_its_own,
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_failure_of_a_sibling_does_not_reach_into_a_shield(run: Run, program: Callable[..., Any]) -> None:
    async def main(names: Names) -> list[str]:
        told: list[str] = []
        with pytest.raises(ExceptionGroup) as caught:
            await program(names, told)
        assert [type(error) for error in caught.value.exceptions] == [KeyError]
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)
        return told

    expected = run(main(ANYIO))
    assert expected
    assert run(main(CEDE)) == expected


def test_group_that_is_cancelled_waits_for_a_shield(run: Run) -> None:
    async def main() -> list[str]:
        told: list[str] = []

        async def shielded() -> None:
            with cede.CancelScope(shield=True):
                await asyncio.sleep(0.005)
                told.append("child")

        async with cede.TaskGroup() as group:
            group.create_task(shielded())
            await asyncio.sleep(0)
            with cede.CancelScope(shield=True):
                group.cancel()
                await asyncio.sleep(0)
                told.append("block")
            await asyncio.sleep(NEVER)
        assert asyncio.current_task().cancelling() == 0
        return told

    assert run(main) == ["block", "child"]


def test_task_that_is_cancelled_by_hand_is_not_shielded(run: Run) -> None:
    async def main() -> None:
        async def shielded() -> None:
            with cede.CancelScope(shield=True):
                await asyncio.sleep(NEVER)

        task = asyncio.create_task(shielded())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_failure_in_a_map_does_not_reach_into_a_shield(run: Run) -> None:
    async def main() -> list[int]:
        told: list[int] = []

        async def work(number: int) -> int:
            if number == 1:
                await fails()
            with cede.CancelScope(shield=True):
                await asyncio.sleep(0.01)
                told.append(number)
            await asyncio.sleep(NEVER if number else 0)
            return number

        with pytest.raises(KeyError):
            async for _ in cede.map(work, range(3), ordered=False):
                pass
        return sorted(told)

    assert run(main) == [0, 2]


def test_scope_in_a_coroutine_that_is_dropped_after_its_loop(recwarn: pytest.WarningsRecorder) -> None:
    async def scoped() -> None:
        with cede.CancelScope(), cede.move_on_after(NEVER):
            await asyncio.sleep(NEVER)

    loop = cede.new_event_loop()
    task = loop.create_task(scoped())
    loop.call_soon(loop.stop)
    loop.run_forever()
    task._log_destroy_pending = False
    coro = task.get_coro()
    coro.close()
    loop.close()
