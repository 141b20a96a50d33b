"""Wrappers of foreign awaitables: a coroutine around any awaitable, a future around one of concurrent.futures."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable
from typing import Any

from cede.core import stdlib


async def as_coroutine(awaitable: Awaitable[Any]) -> Any:
    """Await `awaitable`, which a generator task yielded."""
    return await awaitable


def wrap_future(future: Any, *, loop: Any = None, subject: Any = None) -> Any:
    """Wrap a ``concurrent.futures.Future`` for this loop; returns a future of asyncio as it is.

    subject: what the future is waited on for, if the runtime itself waits on it, on a cede loop.
    """
    if asyncio.isfuture(future):
        return future
    if not isinstance(future, concurrent.futures.Future):
        raise TypeError(f"wrap_future(): future must be a concurrent.futures.Future, got {future!r}")
    wrapped = stdlib.wrap_future(future, loop=loop)
    if subject is not None and not wrapped.done():
        from cede.core.task.future import set_subject  # `cede.wrap_future` alone loads no part of the runtime

        set_subject(wrapped, subject)
    return wrapped
