"""``limit=``: how many calls of one function run at once, or somebody else's limiter.

A number counts the calls of that function, by that verb, on this loop. Anything else is asked in the way it knows: by token (AnyIO's
CapacityLimiter), by acquire and release (semaphores and locks), or by ``async with``.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

from cede.offload.call_site import calling_line
from cede.offload.loop_state import LoopState
from cede.offload.pool import checked_count
from cede.sync.limiter import CapacityLimiter

# The exits of limiters, which nobody waits for, until they are over.
_leaving: set[asyncio.Task[Any]] = set()


def takes_limit(function: Any) -> bool:
    """Whether `function` has a parameter of that name itself: then the argument is meant for it."""
    if type(function) is types.FunctionType and not hasattr(function, "__wrapped__") and not hasattr(function, "__signature__"):
        code = function.__code__
        named = code.co_argcount + code.co_kwonlyargcount
        return bool(code.co_flags & inspect.CO_VARKEYWORDS) or "limit" in code.co_varnames[code.co_posonlyargcount : named]
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return any(
        each.kind is each.VAR_KEYWORD or (each.name == "limit" and each.kind is not each.POSITIONAL_ONLY) for each in parameters.values()
    )


def take_limit(function: Any, kwargs: dict[str, Any]) -> Any:
    """What is given as ``limit=``, taken out of `kwargs`; None where it is the function's own."""
    return None if takes_limit(function) else kwargs.pop("limit")


async def enter(loop_state: LoopState, verb: str, function: Any, limit: Any) -> Callable[[], None]:
    """Wait until `limit` lets the call in. Returns what is to be called once, on the loop, when its work has stopped.

    Raises TypeError or ValueError for a limit that is none.
    """
    if isinstance(limit, int):
        return await enter_counted(loop_state, verb, function, checked_count(limit, "limit"))
    if hasattr(limit, "acquire_on_behalf_of"):
        token = object()
        await limit.acquire_on_behalf_of(token)
        return functools.partial(limit.release_on_behalf_of, token)
    if hasattr(limit, "acquire") and hasattr(limit, "release") and not inspect.iscoroutinefunction(limit.release):
        await limit.acquire()
        return limit.release  # type: ignore[no-any-return]
    if hasattr(limit, "__aenter__") and hasattr(limit, "__aexit__"):
        await limit.__aenter__()
        return functools.partial(exit_later, limit)
    raise TypeError(f"{verb}(): limit must be a whole number, or an async context manager such as a semaphore, got {limit!r}")


async def enter_counted(loop_state: LoopState, verb: str, function: Any, size: int) -> Callable[[], None]:
    """One of `size` places for calls of `function`."""
    target = function
    while isinstance(target, functools.partial):
        target = target.func
    try:
        key = (verb, target)
        places = loop_state.places.get(key)
    except TypeError:
        raise TypeError(
            f"{verb}(): a number as limit counts the calls of one function, and {target!r} cannot be hashed: use a semaphore"
        ) from None
    if places is None:
        places = loop_state.places[key] = CapacityLimiter()

    def leave() -> None:
        places.leave()
        forget()

    def forget() -> None:
        if not places.busy and not places.waiters and loop_state.places.get(key) is places:
            del loop_state.places[key]

    if not places.take(size):
        try:
            await places.wait(size, calling_line(function))
        except BaseException:
            forget()
            raise
    return leave


def exit_later(limit: Any) -> None:
    """Leave an async context manager that others may have to be told of by a coroutine."""
    task = asyncio.ensure_future(limit.__aexit__(None, None, None))
    _leaving.add(task)
    task.add_done_callback(_leaving.discard)
