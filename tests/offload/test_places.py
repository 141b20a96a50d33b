"""CapacityLimiter under any order of asking, leaving and cancelling: what Hypothesis draws, a model judges."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cede.offload.pool import Pool
from cede.sync.limiter import CapacityLimiter

examples = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


async def settle() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


class Manual(Pool):
    """A pool whose calls end when the test says so. One that is cancelled works on, as a thread does, if it is stubborn."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.under_way: dict[int, Any] = {}
        self.begun: list[int] = []

    async def perform(self, function: Any, args: Any, kwargs: Any, over: Any) -> Any:
        number, stubborn = args
        assert len(self.under_way) < self._size
        self.begun.append(number)
        done = asyncio.get_running_loop().create_future()
        self.under_way[number] = (done, over)
        try:
            return await done
        except asyncio.CancelledError:
            if not stubborn and self.under_way.pop(number, None) is not None:
                over()
            raise

    def finish(self, index: int, fail: bool) -> None:
        if self.under_way:
            done, over = self.under_way.pop(sorted(self.under_way)[index % len(self.under_way)])
            if not done.done():
                if fail:
                    done.set_exception(LookupError())
                else:
                    done.set_result(None)
            over()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.booleans()),
        st.tuples(st.just("finish"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("turn")),
    ),
    max_size=50,
)


@examples
@given(size=st.integers(1, 3), program=steps)
def test_a_pool_loses_no_place_and_gives_none_twice(run, size: int, program: list[Any]) -> None:
    async def main() -> None:
        pool = Manual(size)
        tasks: list[asyncio.Task[Any]] = []
        for step, *args in program:
            if step == "ask":
                tasks.append(asyncio.create_task(pool.run(int, len(tasks), args[0])))
            elif step == "finish":
                pool.finish(*args)
            elif step == "cancel":
                pending = [task for task in tasks if not task.done()]
                if pending:
                    pending[args[0] % len(pending)].cancel()
            else:
                await asyncio.sleep(0)
            assert pool.statistics().busy <= size
        await settle()
        while pool.under_way:
            pool.finish(0, False)
            await settle()
        assert all(task.done() for task in tasks)
        assert len(set(pool.begun)) == len(pool.begun)
        told = pool.statistics()
        assert (told.busy, told.queued) == (0, 0)
        failed = [task for task in tasks if not task.cancelled() and task.exception() is not None]
        unborn = len([task for task in tasks if task.cancelled()]) - told.cancelled  # cancelled before their first step
        assert unborn >= 0
        assert told.failed == len(failed)
        assert told.done + told.failed + told.cancelled + unborn == len(tasks)
        await pool.aclose()

    run(main)


@examples
@given(wishes=st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=20))
def test_places_of_different_size(run, wishes: list[tuple[int, bool]]) -> None:
    async def main() -> None:
        places = CapacityLimiter()
        served: list[int] = []
        widest = max(size for size, _ in wishes)

        async def ask(number: int, size: int) -> None:
            if not places.take(size):
                await places.wait(size, "test")
            assert places.busy <= widest  # who comes later may want more
            served.append(number)
            try:
                await asyncio.sleep(0)
            finally:
                places.leave()

        tasks = [asyncio.create_task(ask(number, size)) for number, (size, _) in enumerate(wishes)]
        await asyncio.sleep(0)
        for task, (_, cancelled) in zip(tasks, wishes, strict=True):
            if cancelled:
                task.cancel()
        async with asyncio.timeout(30):
            await asyncio.wait(tasks)
        assert (places.busy, len(places.waiters)) == (0, 0)
        assert served == sorted(served)
        assert not [task for task in tasks if not task.cancelled() and task.exception() is not None]

    run(main)
