"""The coroutines behind `wait_for`. Not compiled: a coroutine should have a frame that can be seen."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

from cede.core.task.coroutines import nothing as nothing
from cede.tasks import timeouts
from cede.tasks.timeouts import Timeout
from cede.tasks.wait import cancel_and_wait, ensure_future


async def at_once(awaitable: Any) -> Any:
    """No time at all: the result where it is there."""
    future = ensure_future(awaitable)
    try:
        if future.done():
            return future.result()
        await cancel_and_wait(future)
        try:
            return future.result()
        except asyncio.CancelledError as error:
            raise TimeoutError from error
    finally:
        del future, awaitable  # an error's traceback holds this frame


class FutureTimeout(Timeout):
    """A time limit for one future, which is not reached where that is done already."""

    future: Any = None

    def overdue(self) -> None:
        if not self.future.done():
            super().overdue()


async def wait_for(fut: Any, timeout: float | None) -> Any:
    """`wait_for` of an uncompiled cede."""
    limit: Any = None
    try:
        if timeout is None:
            return await fut
        if timeout <= 0:
            return await at_once(fut)
        limit = timeouts.timeout(timeout)
        if asyncio.isfuture(fut):
            limit = FutureTimeout(limit.when())
            limit.future = fut
        async with limit:
            return await fut
    finally:
        del fut, limit  # an error's traceback holds this frame


def iterator_of(awaitable: Any) -> Any:
    """What drives an awaitable that is no plain coroutine."""
    if asyncio.iscoroutine(awaitable) and hasattr(awaitable, "send"):
        return awaitable
    return awaitable.__await__()


def throw_into(iterator: Any, args: tuple[Any, ...]) -> Any:
    """Throw an exception in where `iterator` waits; one that takes none has it raised in its place."""
    throw = getattr(iterator, "throw", None)
    if throw is None:
        throw = nothing().throw
    try:
        return throw(*args)
    finally:
        del iterator, args, throw  # the error's traceback holds this frame


def warn_never_awaited() -> None:
    """As the interpreter warns of a coroutine."""
    warnings.warn("coroutine 'wait_for' was never awaited", RuntimeWarning, stacklevel=2)
