"""What is run from the ready ring and fails: somebody is told, and the loop goes on. Only KeyboardInterrupt and SystemExit end a run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

import cede


class Stubborn:
    """A future of somebody else's make, which cannot be cancelled."""

    _asyncio_future_blocking = False

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def get_loop(self) -> Any:
        return self._loop

    def done(self) -> bool:
        return False

    def add_done_callback(self, callback: Any, *, context: Any = None) -> None:
        self.callback = callback

    def result(self) -> None:
        return None

    def end(self) -> None:
        self._loop.call_soon(self.callback, self)

    def cancel(self, msg: Any = None) -> bool:
        raise ZeroDivisionError("it cannot be cancelled")

    def __await__(self) -> Any:
        self._asyncio_future_blocking = True
        yield self


async def by_timeout(awaitable: Any) -> None:
    async with asyncio.timeout(0.001):
        await awaitable


async def by_own_timeout(awaitable: Any) -> None:
    async with cede.timeout(0.001):
        await awaitable


async def by_wait_for(awaitable: Any) -> None:
    await cede.wait_for(awaitable, 0.001)


async def by_scope(awaitable: Any) -> None:
    with cede.move_on_after(0.001):
        await awaitable


async def by_async_scope(awaitable: Any) -> None:
    with cede.CancelScope(deadline=asyncio.get_running_loop().time() + 0.001):
        await awaitable


LIMITS = [by_timeout, by_own_timeout, by_wait_for, by_scope, by_async_scope]


Made = tuple[Any, list[Any], Callable[[], Any]]  # what to wait for, the tasks behind it, and how to end it


def stubborn(loop: asyncio.AbstractEventLoop) -> Made:
    made = Stubborn(loop)
    return made, [], made.end


# From 3.14 on the interpreter counts the bytes of the stack, no longer the calls.
TOO_MANY = 20_000 if sys.version_info < (3, 14) else 150_000


def deep(loop: asyncio.AbstractEventLoop) -> Made:
    """Tasks that wait for one another, too many to be cancelled one from the other."""

    async def waits(other: Any) -> None:
        await other

    first = last = loop.create_future()
    tasks: list[Any] = []
    for _ in range(TOO_MANY):
        last = loop.create_task(waits(last))
        tasks.append(last)
    return last, tasks, lambda: first.set_result(None)


@pytest.mark.parametrize("make", [stubborn, deep])
@pytest.mark.parametrize("limit", LIMITS)
def test_a_time_limit_that_cannot_stop_its_task(
    loop: asyncio.AbstractEventLoop, limit: Callable[[Any], Any], make: Callable[[Any], Made]
) -> None:
    if limit is not by_timeout and not isinstance(loop, cede.EventLoop):
        pytest.skip("a time limit of cede's, on another loop, is asyncio's own timer")
    told: list[Any] = []

    def tell(_: Any, context: dict[str, Any]) -> None:
        told.append(type(context.get("exception")))
        loop.call_soon(loop.stop)

    loop.set_exception_handler(tell)
    awaited, tasks, end = make(loop)
    tasks.append(loop.create_task(limit(awaited)))
    loop.run_forever()
    assert told == [ZeroDivisionError if make is stubborn else RecursionError]
    loop.call_soon(loop.stop)
    loop.run_forever()  # it still does
    end()

    async def all_end() -> None:
        await asyncio.wait(tasks)

    loop.run_until_complete(all_end())
    assert [type(task.exception()) for task in tasks if not task.cancelled() and task.exception() is not None] in ([], [TimeoutError])


class Nameless:
    """A callback that cannot even be shown."""

    def __call__(self) -> None:
        raise KeyError("called")

    def __repr__(self) -> str:
        raise ZeroDivisionError("shown")


def test_a_callback_that_fails_and_cannot_be_shown(loop: asyncio.AbstractEventLoop) -> None:
    if not isinstance(loop, cede.EventLoop):
        pytest.skip("asyncio's loop is left by what repr() raises")
    told: list[Any] = []
    loop.set_exception_handler(lambda _, context: told.append((context["message"], type(context["exception"]))))
    loop.call_soon(Nameless())
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert told == [("Exception in callback of 'Nameless', whose repr() raised ZeroDivisionError", KeyError)]


def test_a_timer_that_wakes_somebody_of_a_loop_that_is_closed(loop: asyncio.AbstractEventLoop, loop_factory: Callable[[], Any]) -> None:
    """What is behind it on the ring still runs."""
    wake: Any = getattr(asyncio.futures, "_set_result_unless_cancelled", None)
    if wake is None:
        pytest.skip("this Python's sleep has another way")
    other = loop_factory()
    future = other.create_future()
    future.add_done_callback(print)
    other.close()
    told: list[Any] = []
    ran: list[int] = []
    loop.set_exception_handler(lambda _, context: told.append(type(context["exception"])))
    when = loop.time()
    loop.call_at(when, wake, future, 1)
    for number in range(3):
        loop.call_at(when, ran.append, number)
    loop.call_at(when, loop.stop)
    loop.run_forever()
    assert told == [RuntimeError]
    assert sorted(ran) == [0, 1, 2]  # asyncio draws lots among timers of one time
