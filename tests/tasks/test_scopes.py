"""Cancel scopes: what trio and AnyIO promise of them, on cede's loop and on asyncio's."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest

import cede

Run = Callable[..., Any]


def test_cancelled_block_is_left_quietly(run: Run) -> None:
    async def main() -> None:
        after = False
        with cede.CancelScope() as scope:
            scope.cancel("enough")
            await asyncio.sleep(10)
            after = True
        assert not after
        assert scope.cancel_called
        assert scope.cancelled_caught
        assert scope.cancel_reason == "enough"
        await asyncio.sleep(0)  # nothing is left of it
        assert asyncio.current_task().cancelling() == 0

    run(main)


def test_every_await_in_a_cancelled_scope_raises(run: Run) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        raised = 0
        with cede.CancelScope() as scope:
            scope.cancel()
            for wait in (lambda: asyncio.sleep(0), lambda: asyncio.sleep(10), loop.create_future, asyncio.Event().wait):
                try:
                    await wait()
                except asyncio.CancelledError:
                    raised += 1
        assert not scope.cancelled_caught
        await asyncio.sleep(0)
        return raised

    assert run(main) == 4


def test_cancelled_from_outside_while_it_waits(run: Run) -> None:
    async def main() -> None:
        scope = cede.CancelScope()

        async def work() -> None:
            with scope:
                try:
                    await asyncio.sleep(10)
                finally:
                    with pytest.raises(asyncio.CancelledError):
                        await asyncio.sleep(10)
                raise AssertionError("never here")

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        scope.cancel()
        await task
        assert scope.cancelled_caught

    run(main)


def test_deadline(run: Run) -> None:
    async def main() -> None:
        with cede.move_on_after(0.01) as scope:
            await asyncio.Event().wait()
        assert scope.cancelled_caught
        with pytest.raises(TimeoutError):
            with cede.fail_after(0.01):
                await asyncio.Event().wait()
        with cede.move_on_after(30) as scope:
            await asyncio.sleep(0)
        assert not scope.cancel_called
        now = asyncio.get_running_loop().time()
        with cede.move_on_at(now - 1) as scope:
            await asyncio.sleep(10)
        assert scope.cancelled_caught
        with pytest.raises(TimeoutError):
            with cede.fail_at(now - 1):
                await asyncio.sleep(10)
        with cede.move_on_after(None):
            assert cede.current_effective_deadline() == math.inf

    run(main)


def test_fail_after_that_was_cancelled_by_hand_is_left_quietly(run: Run) -> None:
    async def main() -> None:
        with cede.fail_after(30) as scope:
            scope.cancel()
            await asyncio.sleep(10)
        assert scope.cancelled_caught

    run(main)


def test_deadline_can_be_moved(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with cede.move_on_after(0.01) as scope:
            scope.deadline = loop.time() + 60
            await asyncio.sleep(0.03)
        assert not scope.cancel_called
        with cede.move_on_after(60) as scope:
            scope.deadline = loop.time()
            await asyncio.sleep(60)
        assert scope.cancelled_caught

    run(main)


def test_effective_deadline(run: Run) -> None:
    async def main() -> None:
        assert cede.current_effective_deadline() == math.inf
        with cede.move_on_at(10**9) as outer:
            with cede.move_on_at(2 * 10**9):
                assert cede.current_effective_deadline() == 10**9
                with cede.CancelScope(shield=True):
                    assert cede.current_effective_deadline() == math.inf
                outer.cancel()
                assert cede.current_effective_deadline() == -math.inf

    run(main)


def test_inner_scope_ends_alone(run: Run) -> None:
    async def main() -> None:
        with cede.CancelScope() as outer:
            with cede.CancelScope() as inner:
                inner.cancel()
                await asyncio.sleep(10)
            assert inner.cancelled_caught
            await asyncio.sleep(0)
        assert not outer.cancel_called

    run(main)


def test_outer_scope_ends_the_inner_ones(run: Run) -> None:
    async def main() -> None:
        with cede.CancelScope() as outer:
            with cede.CancelScope() as inner:
                outer.cancel()
                await asyncio.sleep(10)
            raise AssertionError("never here")
        assert outer.cancelled_caught
        assert not inner.cancelled_caught
        with cede.CancelScope() as outer:
            with cede.CancelScope() as inner:
                inner.cancel()
                outer.cancel()
                await asyncio.sleep(10)
            raise AssertionError("never here")
        assert outer.cancelled_caught

    run(main)


def test_shielded_cleaning_up_with_a_deadline_of_its_own(run: Run) -> None:
    async def main() -> list[str]:
        told = []
        with cede.CancelScope() as outer:
            try:
                outer.cancel()
                await asyncio.sleep(10)
            finally:
                with cede.CancelScope(shield=True):
                    await asyncio.sleep(0.01)
                    told.append("cleaned")
                with cede.move_on_after(0.01, shield=True) as cleaning:
                    await asyncio.sleep(10)
                told.append("late" if cleaning.cancelled_caught else "in time")
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.sleep(0)
        assert outer.cancelled_caught
        return told

    assert run(main) == ["cleaned", "late"]


def test_shield_can_be_taken_away(run: Run) -> None:
    async def main() -> None:
        with cede.CancelScope() as outer:
            outer.cancel()
            with cede.CancelScope(shield=True) as inner:
                await asyncio.sleep(0.001)
                inner.shield = False
                await asyncio.sleep(10)
            raise AssertionError("never here")
        assert outer.cancelled_caught

    run(main)


def test_scope_in_a_time_limit_and_the_other_way_round(run: Run) -> None:
    async def main(namespace: Any) -> None:
        with pytest.raises(TimeoutError):
            async with namespace.timeout(0.01):
                with cede.CancelScope() as scope:
                    await asyncio.sleep(10)
        assert not scope.cancelled_caught
        with cede.CancelScope() as scope:
            async with namespace.timeout(10):
                scope.cancel()
                await asyncio.sleep(10)
        assert scope.cancelled_caught
        assert asyncio.current_task().cancelling() == 0

    run(main(asyncio))
    run(main(cede))


def test_cancelled_task_is_not_held_back_by_its_scope(run: Run) -> None:
    async def main() -> None:
        async def work() -> None:
            with cede.CancelScope() as scope:
                scope.cancel()
                await asyncio.sleep(10)

        async def both() -> None:
            with cede.CancelScope() as scope:
                asyncio.current_task().cancel()
                scope.cancel()
                await asyncio.sleep(10)
            raise AssertionError("never here")

        task = asyncio.create_task(work())
        await task
        task = asyncio.create_task(both())
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_tasks_of_a_group_belong_to_the_scope(run: Run) -> None:
    async def main() -> list[str]:
        told = []

        async def stubborn(name: str) -> None:
            for _ in range(3):
                try:
                    await asyncio.sleep(10)
                except asyncio.CancelledError:
                    told.append(name)
            await asyncio.sleep(10)

        with cede.CancelScope() as scope:
            async with cede.TaskGroup() as group:
                group.create_task(stubborn("a"))
                group.create_task(stubborn("b"))
                await asyncio.sleep(0)
                scope.cancel()
        assert scope.cancelled_caught
        assert asyncio.current_task().cancelling() == 0
        return sorted(told)

    assert run(main) == ["a"] * 3 + ["b"] * 3


def test_scope_inside_a_task_of_a_group(run: Run) -> None:
    async def main() -> list[Any]:
        done = []

        async def child() -> None:
            with cede.move_on_after(0.01) as scope:
                await asyncio.sleep(10)
            done.append(scope.cancelled_caught)

        async with cede.TaskGroup() as group:
            group.create_task(child())
            group.create_task(child())
        return done

    assert run(main) == [True, True]


def test_result_that_is_there_is_kept(run: Run) -> None:
    async def main() -> str:
        future = asyncio.get_running_loop().create_future()
        got = "nothing"
        scope = cede.CancelScope()

        async def wait() -> None:
            nonlocal got
            with scope:
                got = await future
                await asyncio.sleep(0)
                got = "too much"

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        future.set_result("result")
        scope.cancel()
        await task
        assert scope.cancelled_caught
        return got

    assert run(main) in ("result", "nothing")
    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        assert runner.run(main()) == "result"


def test_stubborn_task_makes_no_busy_loop(run: Run) -> None:
    """AnyIO 1111, 1257: a task that never gives in costs next to nothing."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        end = loop.time() + 0.3
        asked = 0
        with cede.CancelScope() as scope:
            scope.cancel()
            while loop.time() < end:
                try:
                    await loop.create_future()
                except asyncio.CancelledError:
                    asked += 1
        return asked

    assert 5 <= run(main) <= 40


def test_wait_that_cannot_be_cancelled_makes_no_busy_loop() -> None:
    """AnyIO 1257: the `cancel` of what is awaited says no."""

    class Deaf(asyncio.Future[None]):
        asked = 0

        def cancel(self, msg: Any = None) -> bool:
            type(self).asked += 1
            return False

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with cede.CancelScope() as scope:
            scope.cancel()
            deaf = Deaf(loop=loop)
            loop.call_later(0.05, deaf.set_result, None)
            await deaf
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(0)
            raise asyncio.CancelledError
        assert scope.cancelled_caught

    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        runner.run(main())
    assert Deaf.asked == 1


def test_misuse_is_told(run: Run) -> None:
    async def main() -> None:
        scope = cede.CancelScope()
        with scope:
            pass
        with pytest.raises(RuntimeError, match="only once"):
            scope.__enter__()
        outer, inner = cede.CancelScope(), cede.CancelScope()
        outer.__enter__()
        inner.__enter__()
        with pytest.raises(RuntimeError, match="inner ones first"):
            outer.__exit__(None, None, None)
        inner.__exit__(None, None, None)
        outer.__exit__(None, None, None)
        with pytest.raises(ValueError, match="delay"):
            cede.move_on_after(-1)
        with pytest.raises(TypeError, match="deadline"):
            cede.move_on_at("soon")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="NaN"):
            cede.CancelScope(deadline=math.nan)

    run(main)
    with pytest.raises(RuntimeError):
        cede.CancelScope().__enter__()


def test_cancelled_before_it_is_entered(run: Run) -> None:
    async def main() -> None:
        scope = cede.CancelScope()
        scope.cancel("never mind")
        with scope:
            await asyncio.sleep(10)
        assert scope.cancelled_caught
        assert scope.cancel_reason == "never mind"

    run(main)


def test_other_errors_pass(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(KeyError):
            with cede.CancelScope() as scope:
                scope.cancel()
                raise KeyError
        assert scope.cancel_called
        assert not scope.cancelled_caught
        await asyncio.sleep(0)

    run(main)


def test_tasks_are_cancelled_in_the_order_in_which_they_came(run: Run) -> None:
    async def main() -> list[int]:
        order: list[int] = []

        async def wait(number: int) -> None:
            try:
                if number % 3:
                    await asyncio.Event().wait()
                else:
                    with cede.CancelScope():
                        await asyncio.Event().wait()
            except asyncio.CancelledError:
                order.append(number)
                raise

        with cede.CancelScope() as scope:
            async with cede.TaskGroup() as group:
                for number in range(200):
                    group.create_task(wait(number))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                scope.cancel()
        return order

    numbers = range(200)
    # Those that are in the scope itself, then those in scopes further inside.
    assert run(main) == [number for number in numbers if number % 3] + [number for number in numbers if not number % 3]


class Stubborn:
    """Work that stays, in a scope of its own, though it is asked to go, and counts how often it was."""

    def __init__(self) -> None:
        self.asked = 0
        self.stays = True

    async def stay(self) -> None:
        with cede.CancelScope():
            while self.stays:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.asked += 1


def test_what_a_group_has_in_a_scope_that_is_left_belongs_to_the_next_one(run: Run) -> None:
    """The task that is asked is in a scope of its own, whose way outwards led through the one that was left."""

    async def main() -> None:
        stubborn = Stubborn()
        group = cede.TaskGroup()
        with cede.CancelScope() as outer:
            with cede.CancelScope():
                await group.__aenter__()
                task = group.create_task(stubborn.stay())
                await asyncio.sleep(0)
            outer.cancel()
            with cede.CancelScope(shield=True):
                while stubborn.asked < 3:
                    await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.sleep(0)
        before = stubborn.asked
        for _ in range(10):
            await asyncio.sleep(0)
        assert stubborn.asked == before  # nobody asks any more
        stubborn.stays = False
        task.cancel()
        await group.__aexit__(None, None, None)

    run(main)


def test_cancelled_scope_that_is_left_asks_no_task_of_a_group_any_more(run: Run) -> None:
    async def main() -> None:
        stubborn = Stubborn()
        group = cede.TaskGroup()
        with cede.CancelScope() as outer:
            with cede.CancelScope():
                await group.__aenter__()
                task = group.create_task(stubborn.stay())
                await asyncio.sleep(0)
                outer.cancel()
        await asyncio.sleep(0)
        assert stubborn.asked == 1  # its wait was cancelled; by now nothing that is cancelled is around it
        for _ in range(10):
            await asyncio.sleep(0)
        assert stubborn.asked == 1
        stubborn.stays = False
        task.cancel()
        await group.__aexit__(None, None, None)

    run(main)


def test_scopes_nested_in_any_number(run: Run) -> None:
    """Each is entered, cancelled and left without a walk through all of them: that would take minutes."""

    async def main() -> None:
        scopes = [cede.CancelScope() for _ in range(50_000)]
        for scope in scopes:
            scope.__enter__()
        scopes[0].cancel()
        assert cede.current_effective_deadline() == -math.inf
        for scope in reversed(scopes):
            scope.__exit__(None, None, None)
        await asyncio.sleep(0)

    run(main)
