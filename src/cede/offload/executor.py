"""What the default executor of a loop does, told as that of a pool is."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cede.loop.threads.executor import LoopThreads
from cede.loop.unfinished import busy_threads
from cede.offload.pool import PoolStatistics
from cede.offload.threads import ThreadCall


def executor_statistics(loop: asyncio.AbstractEventLoop) -> PoolStatistics | None:
    """Of the default executor of `loop`, which runs here; None where it has none yet, or does not show it.

    A ThreadPoolExecutor that is not of our making counts nothing: what is told of it is its size, and how many work and wait now.
    """
    executor: Any = getattr(loop, "_default_executor", None)
    if isinstance(executor, LoopThreads):
        told = executor.pool.told()
        waiting = Counter(called(function, args) for function, args in told.pop("waiting"))
        return PoolStatistics(name="default", kind="thread", refused=0, callers=tuple(waiting.most_common()), **told)
    if not isinstance(executor, ThreadPoolExecutor):
        return None
    return PoolStatistics(
        name="default",
        kind="thread",
        size=executor._max_workers,
        busy=len(busy_threads(executor)),
        queued=executor._work_queue.qsize(),
        done=0,
        failed=0,
        cancelled=0,
        refused=0,
        longest_wait=0.0,
        mean_wait=0.0,
        waiting_since=0.0,
        callers=(),
    )


def called(function: Any, args: Any) -> str:
    """The function that the program wants to have called, below what `to_thread` and others wrap around it."""
    while True:
        if isinstance(function, functools.partial):
            function, args = function.func, (*function.args, *(args or ()))
        elif isinstance(function, ThreadCall):
            function, args = function.function, function.args
        elif isinstance(getattr(function, "__self__", None), contextvars.Context) and args:
            function, args = args[0], args[1:]
        else:
            break
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{module}.{name}" if module else str(name)
