"""Work on threads: `to_thread` with and without a limit, pools, their queues and what they tell."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import logging
import threading
from typing import Any

import pytest

import cede

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")


class Crowd:
    """A function that counts how many are inside of it, and waits to be let go."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = self.most = self.total = 0
        self.go = threading.Event()

    def __call__(self, value: Any = None) -> Any:
        with self.lock:
            self.inside += 1
            self.total += 1
            self.most = max(self.most, self.inside)
        assert self.go.wait(30)
        with self.lock:
            self.inside -= 1
        return value

    async def holds(self, count: int) -> None:
        async with asyncio.timeout(30):
            while self.inside != count:
                await asyncio.sleep(0.001)


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_result_error_and_context(run) -> None:
    async def main() -> None:
        variable.set("mine")
        for ask in (cede.to_thread, functools.partial(cede.to_thread, limit=2), cede.ThreadPool(1).run):
            assert await ask(variable.get) == "mine"
            assert await ask(int, "12", base=8) == 10
            with pytest.raises(ValueError, match="invalid literal"):
                await ask(int, "x")
            await ask(variable.set, "theirs")
            assert variable.get() == "mine"

    run(main)


def test_limit_is_the_functions_own_where_it_takes_one(run) -> None:
    def own(limit: int) -> int:
        return limit

    def any_keyword(**kwargs: int) -> dict[str, int]:
        return kwargs

    async def main() -> None:
        def keyword_only(*, limit: int) -> int:
            return limit

        def by_place_only(limit: int, /) -> int:
            return limit

        @functools.wraps(own)
        def wrapped(*args: int, **kwargs: int) -> int:
            return own(*args, **kwargs)

        assert await cede.to_thread(own, limit=3) == 3
        assert await cede.to_thread(keyword_only, limit=3) == 3
        assert await cede.to_thread(wrapped, limit=3) == 3
        assert await cede.to_thread(functools.partial(own), limit=3) == 3
        assert await cede.to_thread(by_place_only, 7, limit=3) == 7
        assert await cede.to_thread(any_keyword, limit=4) == {"limit": 4}
        assert await cede.ThreadPool(1).run(own, limit=5) == 5
        assert await cede.to_thread(int, "5", limit=None) == 5

    run(main)


def test_limit_holds_while_a_cancelled_call_still_runs(run) -> None:
    async def main() -> None:
        crowd = Crowd()
        tasks = [asyncio.create_task(cede.to_thread(crowd, each, limit=2)) for each in range(6)]
        await crowd.holds(2)
        tasks[0].cancel()
        tasks[3].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        await turns()
        assert crowd.total == 2  # the thread of the cancelled one is still inside
        crowd.go.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [each for each in found if not isinstance(each, BaseException)] == [1, 2, 4, 5]
        assert crowd.most == 2
        assert crowd.total == 5  # the one that was cancelled in the line never began

    run(main)


def test_different_limits_count_together(run) -> None:
    async def main() -> None:
        crowd = Crowd()
        wide = [asyncio.create_task(cede.to_thread(crowd, limit=3)) for _ in range(2)]
        await crowd.holds(2)
        narrow = asyncio.create_task(cede.to_thread(crowd, limit=2))
        behind = asyncio.create_task(cede.to_thread(crowd, limit=3))
        await turns()
        assert crowd.total == 2  # nobody overtakes
        narrow.cancel()
        await crowd.holds(3)  # and who is behind one that left has its place
        crowd.go.set()
        await asyncio.gather(*wide, behind)

    run(main)


@pytest.mark.parametrize("kind", ["semaphore", "manager", "tokens"])
def test_other_limiters(run, kind: str) -> None:
    class Manager:
        def __init__(self) -> None:
            self.inner = asyncio.Semaphore(1)

        async def __aenter__(self) -> None:
            await self.inner.acquire()

        async def __aexit__(self, *error: object) -> None:
            await asyncio.sleep(0)
            self.inner.release()

    class Tokens:
        """Knows its borrowers, as AnyIO's limiter does."""

        def __init__(self) -> None:
            self.inner = asyncio.Semaphore(1)
            self.borrowers: set[object] = set()

        async def acquire_on_behalf_of(self, borrower: object) -> None:
            await self.inner.acquire()
            self.borrowers.add(borrower)

        def release_on_behalf_of(self, borrower: object) -> None:
            self.borrowers.remove(borrower)
            self.inner.release()

    async def main() -> None:
        limit: Any = {"semaphore": asyncio.Semaphore, "manager": lambda count: Manager(), "tokens": lambda count: Tokens()}[kind](1)
        crowd = Crowd()
        tasks = [asyncio.create_task(cede.to_thread(crowd, each, limit=limit)) for each in range(4)]
        await crowd.holds(1)
        tasks[0].cancel()
        await turns()
        assert crowd.total == 1
        crowd.go.set()
        assert await asyncio.gather(*tasks[1:]) == [1, 2, 3]
        assert crowd.most == 1
        await turns()
        assert not getattr(limit, "inner", limit).locked()

    run(main)


def test_a_pool_keeps_the_place_of_a_cancelled_call_until_its_function_returns(run) -> None:
    async def main() -> None:
        async with cede.ThreadPool(1, name="one") as pool:
            crowd = Crowd()
            first = asyncio.create_task(pool.run(crowd, 1))
            second = asyncio.create_task(pool.run(crowd, 2))
            await crowd.holds(1)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert pool.statistics().busy == 1
            assert pool.statistics().queued == 1
            crowd.go.set()
            assert await second == 2
            assert crowd.most == 1

    run(main)


def test_a_full_queue_turns_away(run) -> None:
    async def main() -> None:
        async with cede.ThreadPool(1, name="small", queue=1) as pool:
            crowd = Crowd()
            tasks = [asyncio.create_task(pool.run(crowd)) for _ in range(2)]
            await crowd.holds(1)
            with pytest.raises(cede.PoolFull, match=r"thread pool 'small' .*is full: 1 calls are under way and 1 wait"):
                await pool.run(crowd)
            crowd.go.set()
            await asyncio.gather(*tasks)
            told = pool.statistics()
            assert (told.done, told.refused, told.failed, told.busy, told.queued) == (2, 1, 0, 0, 0)

    run(main)


def test_a_saturated_pool_says_so_and_names_who_waits(run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cede.offload.pool.SATURATED_AFTER", 0.02)

    async def main() -> None:
        async with cede.ThreadPool(1, name="files") as pool:
            crowd = Crowd()

            async def reads_settings() -> None:
                await pool.run(crowd)

            tasks = [asyncio.create_task(reads_settings()) for _ in range(3)]
            tasks.append(asyncio.create_task(pool.run(crowd), name="bare"))
            async with asyncio.timeout(30):
                while not caplog.records:
                    await asyncio.sleep(0.005)
            told = pool.statistics()
            crowd.go.set()
            await asyncio.gather(*tasks)
        assert told.callers[0][1] == 2
        assert "reads_settings" in told.callers[0][0]
        assert "'bare'" in told.callers[1][0]
        assert told.waiting_since > 0
        text = caplog.records[0].getMessage()
        assert text.startswith("thread pool 'files' is saturated: all 1 places are taken, 3 calls wait")
        assert "test_threads.py" in text
        assert len(caplog.records) == 1

    with caplog.at_level(logging.WARNING, "cede"):
        run(main)


def test_pools_tells_of_all(run) -> None:
    async def main() -> None:
        assert cede.pools() == ()
        one, two = cede.ThreadPool(3, name="b"), cede.ThreadPool(name="a")
        await one.run(int)
        await two.run(int)
        with pytest.raises(ValueError, match="invalid literal"):
            await two.run(int, "x")
        assert [(each.name, each.kind, each.done, each.failed) for each in cede.pools()] == [("a", "thread", 1, 1), ("b", "thread", 1, 0)]
        del one
        gc.collect()
        assert [each.name for each in cede.pools()] == ["a"]

    run(main)


def default_executor() -> Any:
    [told] = [each for each in cede.pools() if (each.kind, each.name) == ("thread", "default")]
    return told


def test_pools_tells_of_the_default_executor(run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert cede.pools() == ()
        crowd = Crowd()
        tasks = [asyncio.create_task(cede.to_thread(crowd))]
        await crowd.holds(1)
        size = default_executor().size
        tasks += [asyncio.create_task(cede.to_thread(crowd)) for _ in range(size - 1)]
        await crowd.holds(size)
        tasks += [asyncio.create_task(cede.to_thread(functools.partial(crowd, 1), limit=9)) for _ in range(3)]
        tasks += [asyncio.ensure_future(loop.run_in_executor(None, crowd))]
        await turns()
        told = default_executor()
        assert (told.busy, told.queued) == (size, 4)
        tasks.pop().cancel()
        await turns()  # asyncio's executor hears of it in a later turn
        crowd.go.set()
        await asyncio.gather(*tasks)
        with pytest.raises(ValueError, match="invalid literal"):
            await cede.to_thread(int, "x")
        async with asyncio.timeout(30):
            while default_executor().busy or default_executor().queued:
                await asyncio.sleep(0.001)
        assert crowd.total == size + 3

    run(main)


def test_of_its_own_executor_the_loop_tells_how_long_calls_waited_and_what_came_of_them() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        crowd = Crowd()
        tasks = [asyncio.create_task(cede.to_thread(crowd))]
        await crowd.holds(1)
        size = default_executor().size
        tasks += [asyncio.create_task(cede.to_thread(crowd)) for _ in range(size - 1)]
        await crowd.holds(size)
        assert default_executor().longest_wait == default_executor().waiting_since == 0
        tasks += [asyncio.create_task(cede.to_thread(functools.partial(crowd, 1), limit=9)) for _ in range(2)]
        given_up = [loop.run_in_executor(None, variable.set, "unused"), asyncio.wrap_future(loop._default_executor.submit(crowd))]
        await turns()
        told = default_executor()
        assert (told.busy, told.queued) == (size, 4)
        assert told.waiting_since > 0
        assert [count for _, count in told.callers] == [3, 1]
        assert told.callers[0][0].endswith("Crowd"), told.callers
        for each in given_up:
            each.cancel()
        await turns()  # wrap_future passes it on in a later turn
        assert default_executor().queued == 2
        crowd.go.set()
        await asyncio.gather(*tasks)
        with pytest.raises(ValueError, match="invalid literal"):
            await cede.to_thread(int, "x")
        async with asyncio.timeout(30):
            while default_executor().cancelled < 2:
                await asyncio.sleep(0.001)
        told = default_executor()
        assert (told.busy, told.queued, told.done, told.failed, told.cancelled) == (0, 0, size + 2, 1, 2)
        assert told.longest_wait >= told.mean_wait > 0

    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        runner.run(main())


def test_a_pool_is_closed_with_its_loop(run) -> None:
    made = []

    async def main() -> None:
        made.append(cede.ThreadPool(2))
        await made[0].run(int)

    run(main)
    assert "closed" in repr(made[0])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cede-thread")]


def test_nothing_of_a_limit_is_left(run) -> None:
    async def main() -> None:
        from cede.offload.loop_state import loop_state_of

        for _ in range(3):
            await cede.to_thread(lambda: None, limit=1)
        assert not loop_state_of(asyncio.get_running_loop()).places

    run(main)
