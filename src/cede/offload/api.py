"""The verbs: do this elsewhere, and wait for it. One meaning of limit, cancel and failure for all.

``limit=`` is ours, unless the function has a parameter of that name itself (or takes any): to that it goes.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from cede.offload.pool import Pool, PoolStatistics

# What the verbs need is imported when one is used: most programs use none, or `to_thread` alone.

T = TypeVar("T")


async def to_thread(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """``function(*args, **kwargs)`` on a thread of the loop's default executor, in a copy of this context; its result, or its error.

    limit: how many calls of this function may be under way, or a limiter such as a semaphore. Cancelled, it stops waiting; a function
    that runs already runs to its end, and counts for the limit until then.
    """
    if "limit" in kwargs:
        from cede.offload.limits import enter, take_limit
        from cede.offload.loop_state import loop_state_of
        from cede.offload.threads import in_thread

        limit = take_limit(function, kwargs)
        if limit is not None:
            leave = await enter(loop_state_of(asyncio.get_running_loop()), "to_thread", function, limit)
            return await in_thread(None, function, args, kwargs, leave)  # type: ignore[no-any-return]
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, functools.partial(contextvars.copy_context().run, function, *args, **kwargs))


async def to_process(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """``function(*args, **kwargs)`` in a process of the loop's default pool, which has as many as there are processors; its result, or
    its error.

    limit: how many calls of this function may be under way, or a limiter such as a semaphore. Cancelled, the process is killed, and the
    call returns when it is gone. Raises Unpicklable where the function, an argument or the result cannot travel, WorkerDied where the
    process ends by itself; an error of the function has a RemoteTraceback as its cause. Context variables do not travel. See
    `ProcessPool`.
    """
    from cede.offload.processes import ProcessPool

    return await in_default_pool(ProcessPool, "to_process", function, args, kwargs)


async def to_interpreter(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """``function(*args, **kwargs)`` in a sub-interpreter of the loop's default pool, on a thread; its result, or its error.

    Needs Python 3.14; raises RuntimeError on an older one. limit, errors and what can travel: as for `to_process`. Cancelled, it stops
    waiting; what runs already runs to its end, and counts for the limit until then. See `InterpreterPool`.
    """
    from cede.offload.interpreters import InterpreterPool

    return await in_default_pool(InterpreterPool, "to_interpreter", function, args, kwargs)


async def in_default_pool(kind: type[Pool], verb: str, function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """By the pool of that kind which everybody on this loop shares."""
    from cede.offload.limits import enter, take_limit
    from cede.offload.loop_state import loop_state_of

    loop_state = loop_state_of(asyncio.get_running_loop())
    pool = loop_state.default(kind)
    limit = take_limit(function, kwargs) if "limit" in kwargs else None
    leave = None if limit is None else await enter(loop_state, verb, function, limit)
    return await pool.call(function, args, kwargs, leave)


def pools() -> tuple[PoolStatistics, ...]:
    """What the pools of the running loop do at this moment, its default executor among them. Raises RuntimeError where no loop runs."""
    from cede.offload.executor import executor_statistics
    from cede.offload.loop_state import loop_state_of

    loop = asyncio.get_running_loop()
    found = [pool.statistics() for pool in loop_state_of(loop).pools]
    threads = executor_statistics(loop)
    if threads is not None:
        found.append(threads)
    return tuple(sorted(found, key=lambda each: (each.kind, each.name)))
