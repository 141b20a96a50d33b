"""Asynchronous iteration, and work that is bounded by a limit."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import cede
from cede import aiter

Run = Callable[..., Any]


class Counted:
    """An asynchronous source that knows how much was taken, and whether it was closed."""

    def __init__(self, items: Any, fails: bool = False) -> None:
        self.items = list(items)
        self.taken = 0
        self.closed = False
        self.fails = fails

    async def read(self) -> AsyncIterator[Any]:
        try:
            for item in self.items:
                await asyncio.sleep(0)
                self.taken += 1
                yield item
            if self.fails:
                raise KeyError("source")
        finally:
            self.closed = True


def still_running() -> set[Any]:
    return asyncio.all_tasks() - {asyncio.current_task()}


async def everything(flow: Any) -> list[Any]:
    return [item async for item in flow]


def test_map_in_order_and_as_they_come(run: Run) -> None:
    async def main() -> None:
        async def slow(number: int) -> int:
            for _ in range(10 - number):
                await asyncio.sleep(0)
            return number

        assert await everything(cede.map(slow, range(10), limit=10)) == list(range(10))
        as_they_come = await everything(cede.map(slow, range(10), limit=10, ordered=False))
        assert sorted(as_they_come) == list(range(10))
        assert as_they_come != list(range(10))
        assert await everything(cede.map(slow, Counted(range(5)).read(), limit=2)) == list(range(5))
        assert await everything(cede.map(lambda a, b: a + b, [1, 2, 3], Counted([10, 20]).read())) == [11, 22]
        assert await everything(cede.map(slow, [])) == []
        assert not still_running()

    run(main)


@pytest.mark.parametrize("ordered", [True, False])
def test_map_takes_no_more_than_the_limit(run: Run, ordered: bool) -> None:
    async def main() -> None:
        source = Counted(range(100))
        at_once = most = 0

        async def work(number: int) -> int:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1
            return number

        read = 0
        async with cede.map(work, source.read(), limit=7, ordered=ordered) as results:
            async for _ in results:
                read += 1
                for _ in range(20):
                    await asyncio.sleep(0)
                assert source.taken <= read + 7
                if read == 50:
                    break
        assert most <= 7
        assert source.closed
        assert not still_running()

    run(main)


def test_map_fails_as_the_function_does(run: Run) -> None:
    async def main() -> None:
        source = Counted(range(100))

        async def work(number: int) -> int:
            if number == 3:
                raise ValueError(number)
            return number

        got = []
        with pytest.raises(ValueError, match="3"):
            async for result in cede.map(work, source.read(), limit=4):
                got.append(result)
        assert got == [0, 1, 2]
        assert source.closed
        assert not still_running()
        with pytest.raises(KeyError, match="source"):
            await everything(cede.map(work, Counted(range(2), fails=True).read(), limit=4))
        assert not still_running()

    run(main)


def test_bad_arguments_are_told() -> None:
    for arguments, error in (
        ((3, [1]), TypeError),
        ((print,), TypeError),
        ((print, 3), TypeError),
    ):
        with pytest.raises(error, match=r"map\(\)|iterable"):
            cede.map(*arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="limit must be 1 or more"):
        cede.map(print, [1], limit=0)
    with pytest.raises(TypeError, match="limit must be a whole number"):
        cede.TaskGroup(limit=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n must be 1"):
        aiter.buffer([1], 0)
    with pytest.raises(TypeError, match="timeout must be"):
        aiter.timeout_each([1], "soon")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="iterable"):
        aiter.merge(3)


def test_progress_needs_a_library(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    monkeypatch.setitem(sys.modules, "tqdm", None)

    async def main() -> None:
        with pytest.raises(RuntimeError, match="needs rich or tqdm"):
            await everything(cede.map(str, [1], progress=True))

    run(main)


def test_progress_through_a_library(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    class Bar:
        def __init__(self, total: int | None, desc: str) -> None:
            told.append((total, desc))

        def update(self, count: int) -> None:
            told.append(count)

        def close(self) -> None:
            told.append("closed")

    fake = type(sys)("tqdm")
    fake.tqdm = Bar  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    monkeypatch.setitem(sys.modules, "tqdm", fake)

    async def work(number: int) -> int:
        return number

    assert run(everything(cede.map(work, [1, 2], progress=True))) == [1, 2]
    assert told == [(2, "work"), 1, 1, "closed"]


@pytest.mark.parametrize("kind", ["TaskGroup", "gather", "as_completed"])
def test_limit(run: Run, kind: str) -> None:
    async def main() -> None:
        at_once = most = 0
        order: list[int] = []

        async def work(number: int) -> int:
            nonlocal at_once, most
            order.append(number)
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1
            return number

        if kind == "TaskGroup":
            async with cede.TaskGroup(limit=3) as group:
                tasks = [group.create_task(work(number)) for number in range(20)]
            assert [task.result() for task in tasks] == list(range(20))
            assert order == list(range(20))
        elif kind == "gather":
            assert await cede.gather(*map(work, range(20)), limit=3) == list(range(20))
            assert order == list(range(20))
        else:
            assert sorted([await each async for each in cede.as_completed(map(work, range(20)), limit=3)]) == list(range(20))
        assert most == 3

    run(main)


def test_as_completed_makes_no_more_tasks_than_its_limit(run: Run) -> None:
    """In the order in which they were passed; futures that are passed are no work of its own."""

    async def main() -> None:
        order: list[int] = []
        most = 0

        async def work(number: int) -> int:
            nonlocal most
            order.append(number)
            most = max(most, len(still_running()))
            await asyncio.sleep(0)
            return number

        class Awaitable:
            def __await__(self) -> Any:
                return work(99).__await__()

        ready = asyncio.get_running_loop().create_future()
        ready.set_result(100)
        for plain in (False, True):
            waiting = cede.as_completed([*map(work, range(20)), Awaitable(), ready], limit=3, timeout=1000)
            assert len(still_running()) == 3
            if plain:
                found = [await each for each in waiting]
            else:
                found = [await each async for each in waiting]
            assert sorted(found) == [*range(20), 99, 100]
            assert order == [*range(20), 99]
            order.clear()
        assert most == 3
        assert [each async for each in cede.as_completed([], limit=3)] == []

    run(main)


def test_as_completed_that_nobody_reads_any_more_begins_nothing(run: Run) -> None:
    async def main() -> None:
        order: list[int] = []

        async def work(number: int, seconds: float = 0) -> int:
            order.append(number)
            await asyncio.sleep(seconds)
            return number

        async for _ in cede.as_completed(map(work, range(9)), limit=2):
            break
        for _ in range(9):
            await asyncio.sleep(0)
        assert len(order) < 9
        assert not still_running()

        order.clear()
        with pytest.raises(TimeoutError):
            async for _ in cede.as_completed([work(1, 0.05), work(2)], limit=1, timeout=0.01):
                pass
        await asyncio.sleep(0.06)
        assert order == [1]
        assert not still_running()

        with pytest.raises(TypeError, match="awaitable is required, got 3"):
            cede.as_completed([work(1), 3], limit=1)
        with pytest.raises(ValueError, match="limit must be 1 or more"):
            cede.as_completed([], limit=0)

    run(main)


def test_as_completed_at_the_end_of_its_loop(run: Run) -> None:
    """The loop cancels what runs, and nothing new begins then. One task that cancels itself is no such end."""
    order: list[int] = []

    async def work(number: int) -> int:
        order.append(number)
        if number == 0:
            asyncio.current_task().cancel()  # type: ignore[union-attr]
        await asyncio.sleep(1000 if number > 2 else 0)
        return number

    async def read() -> None:
        async for future in cede.as_completed(map(work, range(9)), limit=2):
            await asyncio.wait([future])

    async def main() -> None:
        main.task = asyncio.create_task(read())  # type: ignore[attr-defined]
        while len(order) < 5:
            await asyncio.sleep(0)

    run(main)
    assert order == [0, 1, 2, 3, 4]


def test_limited_work_that_never_begins_is_closed(run: Run) -> None:
    """No coroutine is left that was never awaited, also where its task was cancelled before its first step."""

    async def main() -> None:
        async def work() -> None:
            await asyncio.sleep(10)

        async with cede.TaskGroup(limit=1) as group:
            for _ in range(5):
                group.create_task(work())
            await asyncio.sleep(0)
            group.create_task(work())
            group.cancel()
        gathered = cede.gather(*(work() for _ in range(5)), limit=2)
        await asyncio.sleep(0)
        gathered.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gathered
        assert not still_running()

    run(main)


def test_limit_is_given_on_when_a_task_fails_or_is_cancelled(run: Run) -> None:
    async def main() -> list[Any]:
        async def work(number: int) -> int:
            await asyncio.sleep(0)
            if number == 1:
                raise ValueError(number)
            if number == 2:
                asyncio.current_task().cancel()
                await asyncio.sleep(0)
            return number

        results = await cede.gather(*map(work, range(5)), limit=1, return_exceptions=True)
        return [result if isinstance(result, int) else type(result).__name__ for result in results]

    assert run(main) == [0, "ValueError", "CancelledError", 3, 4]


def test_merge(run: Run) -> None:
    async def main() -> None:
        sources = [Counted("abc"), Counted("de")]
        got = await everything(aiter.merge(*(source.read() for source in sources), "f"))
        assert sorted(got) == list("abcdef")
        assert [item for item in got if item in "abc"] == list("abc")
        assert all(source.closed for source in sources)
        assert await everything(aiter.merge()) == []
        with pytest.raises(KeyError):
            await everything(aiter.merge(Counted("a", fails=True).read(), Counted(range(1000)).read()))
        assert not still_running()

    run(main)


def test_zip(run: Run) -> None:
    async def main() -> None:
        source = Counted(range(10))
        assert await everything(aiter.zip(source.read(), "abc")) == [(0, "a"), (1, "b"), (2, "c")]
        assert source.closed
        with pytest.raises(ValueError, match="different lengths"):
            await everything(aiter.zip([1], [1, 2], strict=True))
        assert not still_running()

    run(main)


def test_buffer_reads_ahead_and_no_further(run: Run) -> None:
    async def main() -> None:
        source = Counted(range(100))
        async with aiter.buffer(source.read(), 5) as items:
            async for item in items:
                for _ in range(30):
                    await asyncio.sleep(0)
                assert source.taken <= item + 1 + 6
                if item == 20:
                    break
        assert source.closed
        assert source.taken >= 25
        with pytest.raises(KeyError):
            await everything(aiter.buffer(Counted("ab", fails=True).read(), 5))
        assert not still_running()

    run(main)


def test_timeout_each(run: Run) -> None:
    async def main() -> None:
        closed = []

        async def hesitant() -> AsyncIterator[int]:
            try:
                yield 1
                yield 2
                await asyncio.sleep(10)
                yield 3
            finally:
                closed.append(True)

        got = []
        with pytest.raises(TimeoutError):
            async for item in aiter.timeout_each(hesitant(), 0.02):
                got.append(item)
        assert got == [1, 2]
        assert closed
        assert await everything(aiter.timeout_each([1, 2], 10)) == [1, 2]

    run(main)


def test_batch(run: Run) -> None:
    async def main() -> None:
        assert await everything(aiter.batch(Counted(range(5)).read(), 2)) == [[0, 1], [2, 3], [4]]
        gate = asyncio.Event()

        async def in_two_parts() -> AsyncIterator[int]:
            yield 1
            yield 2
            await gate.wait()
            yield 3

        batches = aiter.batch(in_two_parts(), 10, within=0.01)
        assert await anext(batches) == [1, 2]
        gate.set()
        assert await anext(batches) == [3]
        with pytest.raises(StopAsyncIteration):
            await anext(batches)
        flow = aiter.batch(Counted(range(3), fails=True).read(), 2)
        assert await anext(flow) == [0, 1]
        assert await anext(flow) == [2]
        with pytest.raises(KeyError):
            await anext(flow)
        assert not still_running()

    run(main)


def test_from_callbacks(run: Run) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        told: list[Any] = []

        def subscribe(callback: Callable[[Any], None]) -> Callable[[], None]:
            for number in range(5):
                loop.call_soon(callback, number)
            return lambda: told.append("unsubscribed")

        async with aiter.from_callbacks(subscribe, capacity=3) as items:
            async for item in items:
                told.append(item)
                await asyncio.sleep(0)
                if item == 4:
                    break
        return told

    told = run(main)
    assert told[-2:] == [4, "unsubscribed"]


def test_flow_that_is_dropped_runs_its_finally(run: Run) -> None:
    async def main() -> None:
        source = Counted(range(100))
        async for _ in aiter.buffer(source.read(), 2):
            break
        for _ in range(10):
            await asyncio.sleep(0)
        assert source.closed
        assert not still_running()

    run(main)


def test_checkpoint(run: Run) -> None:
    async def main() -> None:
        ran = []
        asyncio.get_running_loop().call_soon(ran.append, 1)
        await cede.checkpoint()
        assert ran
        with cede.CancelScope() as scope:
            scope.cancel()
            await cede.checkpoint()
            raise AssertionError("never here")

    run(main)
