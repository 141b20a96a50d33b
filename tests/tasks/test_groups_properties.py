"""Guarantees, tried on random interleavings."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cede
from tests.conftest import FACTORIES

quick = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
loops = pytest.mark.parametrize("loop_name", list(FACTORIES))


def run_on(loop_name: str, coroutine: Any) -> Any:
    with asyncio.Runner(loop_factory=FACTORIES[loop_name]) as runner:
        return runner.run(coroutine)


class Clock:
    """Moves on by a turn of the loop at a time: what happens "at 3" happens in one turn."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    def at(self, turn: int, call: Any, *args: Any) -> None:
        if turn <= 0:
            call(*args)
        else:
            self.loop.call_soon(self.at, turn - 1, call, *args)


def give(future: Any, result: Any) -> None:
    if not future.done():
        future.set_result(result)


@loops
@quick
@given(
    result_at=st.integers(0, 6),
    limit_at=st.integers(0, 6),
    limit_first=st.booleans(),
    through=st.sampled_from(["timeout", "scope", "shield"]),
)
def test_time_limit_gives_a_result_or_an_error(
    loop_name: str, result_at: int, limit_at: int, limit_first: bool, through: str
) -> None:
    """A limit in the same turn as the result keeps the result or raises: never both, never neither, and nothing is left of it."""

    async def main() -> None:
        clock = Clock()
        future: asyncio.Future[str] = clock.loop.create_future()
        got: list[Any] = []

        async def wait() -> None:
            task = asyncio.current_task()
            assert task is not None
            awaited = cede.shield(future) if through == "shield" else future
            if through == "scope":
                with cede.CancelScope() as scope:
                    arm(scope.cancel)
                    got.append(await awaited)
                if scope.cancelled_caught:
                    got.append("error")
            else:
                try:
                    async with cede.timeout(60) as limit:
                        arm(lambda: limit.reschedule(clock.loop.time()) if not limit.expired() and not got else None)
                        got.append(await awaited)
                except TimeoutError:
                    got.append("error")
            assert task.cancelling() == 0
            await asyncio.sleep(0)  # nothing is still to come

        def arm(limit: Any) -> None:
            events = [(limit_at, limit, ()), (result_at, give, (future, "result"))]
            for turn, call, args in events if limit_first else reversed(events):
                clock.at(turn + 1, call, *args)

        await wait()
        # With a limit that strikes after the value was taken, and before the block was left, both would stand here.
        assert got in (["result"], ["error"])

    run_on(loop_name, main())


@loops
@quick
@given(result_at=st.integers(0, 6), cancel_at=st.integers(0, 6))
def test_cancelled_wait_for_gives_one_thing(loop_name: str, result_at: int, cancel_at: int) -> None:
    async def main() -> None:
        clock = Clock()
        future: asyncio.Future[str] = clock.loop.create_future()
        task = asyncio.create_task(cede.wait_for(future, 60))
        clock.at(result_at, give, future, "result")
        clock.at(cancel_at, task.cancel)
        await asyncio.wait([task])
        assert future.done() or task.cancelled()  # before its first step the task had not got hold of the future
        assert task.cancelled() or task.result() == "result"

    run_on(loop_name, main())


child = st.tuples(st.integers(0, 5), st.sampled_from(["return", "fail", "swallow", "spawn"]))


@loops
@quick
@given(children=st.lists(child, max_size=6), body=st.sampled_from(["return", "fail", "wait"]), cancel_at=st.none() | st.integers(0, 8))
def test_group_leaves_no_child_running(loop_name: str, children: list[tuple[int, str]], body: str, cancel_at: int | None) -> None:
    """Whatever children, body and outside do: when the block is left every child is done, and no request to cancel is lost or left."""

    async def main() -> None:
        made: list[Any] = []

        async def work(group: Any, length: int, end: str) -> None:
            try:
                for _ in range(length):
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                if end != "swallow":
                    raise
                await asyncio.sleep(0)
            if end == "fail":
                raise ValueError
            if end == "spawn":
                try:
                    made.append(group.create_task(work(group, length, "return")))
                except RuntimeError:
                    pass

        outcome: list[str] = []

        async def block() -> None:
            task = asyncio.current_task()
            assert task is not None
            try:
                async with cede.TaskGroup() as group:
                    for length, end in children:
                        made.append(group.create_task(work(group, length, end)))
                    if body == "fail":
                        raise KeyError
                    if body == "wait":
                        for _ in range(4):
                            await asyncio.sleep(0)
                outcome.append("left")
            except BaseExceptionGroup:
                outcome.append("failed")
            except asyncio.CancelledError:
                outcome.append("cancelled")
                raise
            finally:
                assert all(each.done() for each in made)
                assert task.cancelling() == asked

        asked = 0

        def cancel() -> None:
            nonlocal asked
            if not task.done():
                asked += 1
                task.cancel()

        task = asyncio.create_task(block())
        if cancel_at is not None:
            Clock().at(cancel_at, cancel)
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
        assert len(outcome) <= 1
        if body == "fail" and cancel_at is None:
            assert outcome == ["failed"]
        if not asked and body != "fail" and not any(end == "fail" for _, end in children):
            assert outcome == ["left"]
        assert not asyncio.all_tasks() - {asyncio.current_task()}

    run_on(loop_name, main())


@loops
@quick
@given(depth=st.integers(1, 5), which=st.integers(0, 4), shields=st.lists(st.booleans(), min_size=5, max_size=5), at=st.integers(0, 3))
def test_nested_scopes_cancel_exactly_the_inner_ones(loop_name: str, depth: int, which: int, shields: list[bool], at: int) -> None:
    """A scope that is cancelled ends itself and what is inside it, up to the first shield; the scopes outside go on."""
    which = min(which, depth - 1)

    async def main() -> None:
        scopes = [cede.CancelScope(shield=shields[level]) for level in range(depth)]
        left: list[int] = []
        reached_end: list[int] = []

        async def inside(level: int) -> None:
            if level == depth:
                for _ in range(at + 3):
                    await asyncio.sleep(0)
                return
            with scopes[level]:
                await inside(level + 1)
                reached_end.append(level)
                for _ in range(2):
                    await asyncio.sleep(0)
            left.append(level)
            # Out here only what is outside counts.
            hit = which < level and not any(shields[which + 1 : level])
            with_error = False
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                with_error = True
                raise
            finally:
                assert with_error == (hit and scopes[which].cancel_called)

        Clock().at(at, scopes[which].cancel)
        await inside(0)
        shielded = any(shields[which + 1 : depth])
        for level, scope in enumerate(scopes):
            assert scope.cancel_called == (level == which)
            assert not scope.cancelled_caught or level == which
        assert scopes[which].cancelled_caught
        # Everything outside the cancelled scope ran to its end.
        assert [level for level in reached_end if level < which] == list(reversed(range(which)))
        if not shielded:
            assert not [level for level in reached_end if level >= which]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run_on(loop_name, main())


@loops
@quick
@given(data=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=8), limit=st.none() | st.integers(1, 3))
def test_gather_gives_each_result_its_place(loop_name: str, data: list[tuple[int, bool]], limit: int | None) -> None:
    async def main() -> None:
        async def work(number: int, length: int, fails: bool) -> int:
            for _ in range(length):
                await asyncio.sleep(0)
            if fails:
                raise ValueError(number)
            return number

        coroutines = [work(number, *each) for number, each in enumerate(data)]
        results = await cede.gather(*coroutines, return_exceptions=True, limit=limit)
        assert len(results) == len(data)
        for number, (result, (_, fails)) in enumerate(zip(results, data, strict=True)):
            assert (isinstance(result, ValueError) and result.args == (number,)) if fails else result == number

    run_on(loop_name, main())
