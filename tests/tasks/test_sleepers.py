"""asyncio.sleep and cede.sleep, whose timer the kernel knows and tells by itself."""

from __future__ import annotations

import asyncio
import gc
import weakref
from asyncio import futures
from collections.abc import Callable
from typing import Any

import pytest

import cede

wake = futures._set_result_unless_cancelled  # type: ignore[attr-defined]


def test_results_order_and_cancellation(run: Callable[..., Any]) -> None:
    order: list[int] = []

    async def one(delay: float, number: int) -> None:
        assert await asyncio.sleep(delay, number) == number
        order.append(number)

    async def main() -> None:
        tasks = [asyncio.ensure_future(one(delay, number)) for number, delay in enumerate((0.003, 0.001, 0.002, 60))]
        await asyncio.gather(*tasks[:3])
        tasks[3].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[3]

    run(main)
    assert order == [1, 2, 0]


def test_its_handle_is_one_like_any_other(loop: asyncio.AbstractEventLoop) -> None:
    future = loop.create_future()
    handle = loop.call_later(60, wake, future, "slept")
    assert isinstance(handle, asyncio.TimerHandle)
    assert "_set_result_unless_cancelled" in repr(handle)
    assert handle.when() > loop.time()
    handle.cancel()
    assert handle.cancelled()
    assert "cancelled" in repr(handle)
    loop.call_later(0, wake, future, "slept")
    assert loop.run_until_complete(future) == "slept"


def test_a_future_that_was_finished_otherwise_is_reported(loop: asyncio.AbstractEventLoop) -> None:
    reports: list[Any] = []
    loop.set_exception_handler(lambda loop, context: reports.append(context["exception"]))
    done, cancelled = loop.create_future(), loop.create_future()
    done.set_result(1)
    cancelled.cancel()
    loop.call_later(0, wake, cancelled, 2)
    loop.call_later(0, wake, done, 2)
    loop.run_until_complete(asyncio.sleep(0.001))
    assert [type(error) for error in reports] == [asyncio.InvalidStateError]
    assert done.result() == 1


def test_callbacks_of_the_future_run_in_their_own_contexts(run: Callable[..., Any]) -> None:
    import contextvars

    variable = contextvars.ContextVar("variable", default="outer")
    seen: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        variable.set("inner")
        future.add_done_callback(lambda future: seen.append(variable.get()))
        variable.set("later")
        loop.call_later(0, wake, future, None)
        await future
        await asyncio.sleep(0)

    run(main)
    assert seen == ["inner"]


def test_a_cancelled_one_holds_nothing() -> None:
    class Held:
        pass

    loop = cede.new_event_loop()
    held = Held()
    seen = weakref.ref(held)
    handle = loop.call_later(60, wake, loop.create_future(), held)
    del held
    assert seen() is not None
    handle.cancel()
    gc.collect()
    assert seen() is None
    loop.close()
