"""sleep and create_task, the two calls that every program makes all the time."""

from __future__ import annotations

import asyncio
from asyncio import events
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

from cede.core.scheduler.task_kernel import TaskKernel
from cede.core.task import coroutines
from cede.core.task.coroutine_methods import coroutine_function
from cede.core.task.operation import StreamOperation, begin, wake

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.scheduler.waking_timer import set_waking_timer
    from cede.core.task.awaitable import ENDED

T = TypeVar("T")

get_running_loop = events.get_running_loop


class Sleep(StreamOperation):
    """``sleep(delay, result)``: `argument` is first the delay, then the timer; `owner` is the result."""

    def step(self) -> int:
        if self.number == 0:
            self.number = 1
            return self.arm(self.argument)
        if self.waiter is not None:
            self.argument.cancel()
            self.settle()
        self.value = self.owner
        return ENDED

    def may_give_way(self) -> bool:
        return False  # it does, or waits

    def arm(self, delay: Any) -> int:
        if delay <= 0:
            return self.park(None)
        if delay != delay:
            raise ValueError("Invalid delay: NaN (not a number)")
        loop = get_running_loop()
        if not isinstance(loop, TaskKernel):
            waiter = loop.create_future()
            self.argument = loop.call_later(delay, wake, waiter, None)
            return self.park(waiter)
        kernel = loop
        seconds = delay
        timer = set_waking_timer(kernel, kernel.time() + seconds, kernel.new_future(), None, None)
        self.argument = timer
        return self.park(timer.sleeper)

    def release(self) -> int:
        if self.waiter is not None:
            self.argument.cancel()
            self.argument = None
        return 0


def sleep(delay: float, result: Any = None) -> Coroutine[Any, Any, Any]:
    """Wait `delay` seconds, never less, then return `result`. A delay of 0 or less gives way once.

    Raises ValueError where `delay` is not a number (NaN), TypeError where it cannot be compared with one.
    """
    return begin(Sleep.__new__(Sleep), result, delay)


if not cython.compiled:
    coroutines.sleeping = sleep
sleep = coroutine_function(sleep, coroutines.sleep)


def create_task(
    coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None, **options: Any
) -> asyncio.Task[T]:
    """Run `coro` as a task of the running loop; RuntimeError where none runs. The options are those of ``loop.create_task``."""
    loop: Any = get_running_loop()
    if options:
        return loop.create_task(coro, name=name, context=context, **options)
    if context is not None:
        return loop.create_task(coro, name=name, context=context)
    if name is not None:
        return loop.create_task(coro, name=name)
    return loop.create_task(coro)


if cython.compiled:
    # The body above makes a dictionary of the options, and passes each call on by keywords.
    create_task = loop_function(create_task, get_running_loop, __name__)  # type: ignore # noqa: F821
