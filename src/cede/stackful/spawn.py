"""spawn: a plain function as a task of the running loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

from cede.stackful.coroutine import StackCoroutine
from cede.tasks.sleep import create_task

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def spawn(
    function: Callable[[*Ts], T], *args: *Ts, name: str | None = None, context: Context | None = None
) -> asyncio.Task[T]:
    """Run ``function(*args)`` as a task, on a stack of its own. For keyword arguments use `functools.partial`.

    It is a task like any other: awaited, cancelled (CancelledError rises at the `wait`), found in ``all_tasks``. `name` and `context` are
    those of ``create_task``. Raises RuntimeError where no loop runs, TypeError where `function` cannot be called.
    """
    coroutine: Any = StackCoroutine(function, args, {})
    try:
        return create_task(coroutine, name=name, context=context)
    except BaseException:
        coroutine.close()
        raise
