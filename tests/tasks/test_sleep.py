"""sleep and create_task."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import math
import warnings
import weakref
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

import cede


def test_a_delay_of_nothing_gives_way_once(run: Callable[..., Any]) -> None:
    async def main() -> None:
        for delay in (0, 0.0, -1, -0.5, -math.inf, False):
            order: list[str] = []

            async def other(order: list[str] = order) -> None:
                order.append("other")
                await cede.sleep(0)
                order.append("other again")

            task = asyncio.ensure_future(other())
            await cede.sleep(delay)
            order.append("main")
            await cede.sleep(delay)
            await task
            assert order == ["other", "main", "other again"]

    run(main)


def test_the_result(run: Callable[..., Any]) -> None:
    async def main() -> None:
        for delay in (0, 0.001):
            for result in (None, 5, (1, 2), (), ValueError("a value"), StopIteration(1)):
                assert await cede.sleep(delay, result) is result
                assert await cede.sleep(delay, result=result) is result

    run(main)


def test_it_never_ends_early(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for delay in (1e-9, 1e-6, 0.0001, 0.003, Fraction(1, 500), True / 200):
            began = loop.time()
            await cede.sleep(delay)
            assert loop.time() >= began + delay

    run(main)


def test_sleepers_wake_in_order(run: Callable[..., Any]) -> None:
    async def main() -> None:
        order: list[int] = []

        async def sleeper(number: int, delay: float) -> None:
            await cede.sleep(delay)
            order.append(number)

        await asyncio.gather(*(sleeper(i, delay) for i, delay in enumerate((0.02, 0.01, 0, 0.015))))
        assert order == [2, 1, 3, 0]

    run(main)


def test_delays_that_are_wrong(run: Callable[..., Any]) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match=r"Invalid delay: NaN \(not a number\)"):
            await cede.sleep(math.nan)
        for wrong in ("1", None, [1], 1j):
            with pytest.raises(TypeError):
                await cede.sleep(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            cede.sleep()  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            cede.sleep(1, 2, 3)  # type: ignore[call-arg]

    run(main)


def test_a_cancelled_sleep_leaves_nothing(run: Callable[..., Any]) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(cede.sleep(3600))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(cede.sleep(3600), 0.001)
        with pytest.raises(asyncio.TimeoutError):
            async with asyncio.timeout(0.001):
                await cede.sleep(3600)
        task = asyncio.ensure_future(cede.sleep(0))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        operation = cede.sleep(3600)
        watched = weakref.ref(operation.send(None))
        operation.close()
        assert watched() is None

    run(main)


def test_it_is_a_coroutine(run: Callable[..., Any]) -> None:
    async def main() -> None:
        operation = cede.sleep(0, "slept")
        assert asyncio.iscoroutine(operation)
        assert operation.__name__ == "sleep"
        assert await asyncio.create_task(operation) == "slept"
        assert await asyncio.gather(cede.sleep(0, 1), cede.sleep(0.001, 2)) == [1, 2]
        with pytest.raises(RuntimeError, match="already awaited"):
            await operation
        with pytest.raises(KeyError):
            cede.sleep(0).throw(KeyError("x"))
        with pytest.warns(RuntimeWarning, match="coroutine 'sleep' was never awaited"):
            cede.sleep(1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cede.sleep(1).close()

    run(main)


def test_without_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        cede.sleep(1).send(None)
    assert cede.sleep(0).send(None) is None
    coroutine = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="no running event loop"):
        cede.create_task(coroutine)
    coroutine.close()


def test_no_cycle_survives_a_sleep(run: Callable[..., Any]) -> None:
    class Result:
        pass

    async def main() -> None:
        for delay in (0, 0.001):
            result = Result()
            watched = weakref.ref(result)
            await cede.sleep(delay, result)
            del result
            assert watched() is None

    gc.collect()
    gc.disable()
    try:
        run(main)
    finally:
        gc.enable()


def test_create_task(run: Callable[..., Any]) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    async def work() -> int:
        return variable.get()

    async def main() -> None:
        task = cede.create_task(work())
        assert isinstance(task, asyncio.Task)
        assert await task == 0
        context = contextvars.copy_context()
        context.run(variable.set, 5)
        task = cede.create_task(work(), name="named", context=context)
        assert task.get_name() == "named"
        assert await task == 5
        assert await cede.create_task(work(), context=context) == 5
        assert cede.create_task(work(), name="other").get_name() == "other"
        with pytest.raises(TypeError):
            cede.create_task(5)  # type: ignore[arg-type]
        coroutine = work()
        with pytest.raises(TypeError):
            cede.create_task(coroutine, nonsense=1)
        coroutine.close()
        await cede.sleep(0)

    run(main)


def test_create_task_goes_through_the_loop(run: Callable[..., Any]) -> None:
    """A task factory, or a create_task that was replaced, is asked."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made: list[str] = []

        def factory(loop: Any, coro: Any, **options: Any) -> Any:
            made.append(type(coro).__name__)
            return asyncio.Task(coro, loop=loop, **options)

        loop.set_task_factory(factory)
        assert await cede.create_task(asyncio.sleep(0, 1)) == 1
        assert made == ["coroutine"]
        loop.set_task_factory(None)

    run(main)
