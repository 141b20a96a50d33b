"""The switch itself: code that has its own `wait`, results of every shape, and stacks that are not ours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import cede

pytest.importorskip("greenlet", reason="greenlet is not to be had for this Python")

import greenlet

from cede import stackful


async def later(value: Any) -> Any:
    await asyncio.sleep(0)
    if isinstance(value, BaseException):
        raise value
    return value


def hand_over(awaitable: Any) -> Any:
    """As SQLAlchemy's `await_only`: the driver is to await it, and to come back with what comes of it."""
    current = greenlet.getcurrent()
    assert current.__sqlalchemy_greenlet_provider__
    return current.parent.switch(awaitable)


def test_what_is_handed_to_the_driver_is_awaited_there(run) -> None:
    def work() -> list[Any]:
        got = [hand_over(later(1)), stackful.wait(later(2)), hand_over(later((3,)))]
        with pytest.raises(LookupError, match="four"):
            hand_over(later(LookupError("four")))
        with pytest.raises(TypeError, match="an awaitable is expected"):
            stackful.wait(5)  # type: ignore[type-var]
        return [*got, stackful.wait(cede.sleep(0, 6))]

    def fails() -> None:
        hand_over(later(1))
        raise ZeroDivisionError("its own")

    async def main() -> None:
        assert await stackful.spawn(work) == [1, 2, (3,), 6]
        with pytest.raises(ZeroDivisionError, match="its own"):
            await stackful.spawn(fails)
        task = stackful.spawn(hand_over, asyncio.get_running_loop().create_future())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_results_of_every_shape(run) -> None:
    async def main() -> None:
        for result in (None, (), (1,), (1, 2), {"a": 1}, [()]):
            assert await stackful.run_sync(lambda result=result: result) == result
        assert await stackful.run_sync(lambda *args, **kwargs: (args, kwargs), 1, (2,), a=3) == ((1, (2,)), {"a": 3})

        def leaves() -> None:
            raise greenlet.GreenletExit

        assert await stackful.run_sync(leaves) is None

    run(main)


def test_another_stack_inside_of_one_cannot_wait(run) -> None:
    def inner() -> str:
        with pytest.raises(RuntimeError, match="outside of a stackful coroutine"):
            stackful.wait(later(0))
        return "refused"

    def outer() -> list[Any]:
        stackful.wait(cede.sleep(0))
        return [greenlet.greenlet(inner).switch(), stackful.wait(cede.sleep(0, "goes on"))]

    async def main() -> None:
        assert await stackful.spawn(outer) == ["refused", "goes on"]

    run(main)


def test_one_inside_of_another_and_each_waits(run) -> None:
    def inner(number: int) -> int:
        return stackful.wait(later(number)) + stackful.wait(cede.sleep(0, 1))

    def outer() -> list[int]:
        return [stackful.wait(cede.sleep(0, 5)), stackful.wait(stackful.run_sync(inner, 6)), stackful.wait(cede.sleep(0, 8))]

    async def main() -> None:
        assert await asyncio.gather(*[stackful.spawn(outer) for _ in range(3)]) == [[5, 7, 8]] * 3

    run(main)
