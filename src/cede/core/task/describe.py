"""The reprs of futures and tasks, in the words of asyncio; their frames; the error for a coroutine that yields nonsense.

This module does not use asyncio's functions for the whole repr: they would show the class that `__class__` pretends.
"""

from __future__ import annotations

import asyncio
import inspect
import reprlib
from asyncio import base_futures, base_tasks, coroutines
from typing import Any


@reprlib.recursive_repr()
def future_text(future: Any) -> str:
    """The repr of a future."""
    return f"<{type(future).__name__} {' '.join(base_futures._future_repr_info(future))}>"  # type: ignore[attr-defined]


@reprlib.recursive_repr()
def task_text(task: Any) -> str:
    """The repr of a task."""
    if coroutines.iscoroutine(task._coro):
        info = base_tasks._task_repr_info(task)  # type: ignore[attr-defined]
    else:
        # asyncio cannot describe a generator, nor an eager task that ended in its first step.
        info = base_futures._future_repr_info(task)  # type: ignore[attr-defined]
        if task.cancelling() and not task.done():
            info[0] = "cancelling"
        info.insert(1, f"name={task.get_name()!r}")
        if task._coro is not None:
            info.insert(2, f"generator=<{where_in(task._coro)}>")
        if task._fut_waiter is not None:
            info.insert(3, f"wait_for={task._fut_waiter!r}")
    return f"<{type(task).__name__} {' '.join(info)}>"


def awaited_by(future: Any) -> set[Any] | None:
    """The tasks that wait for `future` now, or None."""
    found = set()
    for callback, _ in future._callbacks or ():
        owner = getattr(callback, "__self__", None)
        owner = getattr(owner, "awaiting_task", owner)  # a group, for example, waits on behalf of a task
        if owner is not None and asyncio.isfuture(owner):
            found.add(owner)
    return found or None


def where_in(generator: Any) -> str:
    """The name of a generator, and the line where it stands."""
    code = generator.gi_code
    if generator.gi_frame is None:
        return f"{generator.__qualname__}() done, defined at {code.co_filename}:{code.co_firstlineno}"
    return f"{generator.__qualname__}() running at {code.co_filename}:{generator.gi_frame.f_lineno}"


def stands_still(coroutine: Any) -> bool:
    """Whether a coroutine that raised still has its frame: then it never began."""
    return getattr(coroutine, "cr_frame", None) is not None or getattr(coroutine, "gi_frame", None) is not None


def frames_inside(coro: Any) -> list[Any]:
    """The frames of a suspended coroutine, the innermost last."""
    frames: list[Any] = []
    while coro is not None:
        if hasattr(coro, "cr_await"):
            frame, coro = getattr(coro, "cr_frame", None), coro.cr_await
        elif hasattr(coro, "ag_await"):
            frame, coro = coro.ag_frame, coro.ag_await
        elif hasattr(coro, "gi_yieldfrom"):
            frame, coro = coro.gi_frame, coro.gi_yieldfrom
            if frame is not None and str(frame.f_globals.get("__name__", "")).startswith("cede."):
                frame = None  # the await of a cede object, which has no frame if compiled
        else:
            break
        if frame is not None and frame not in frames:  # a wrapper has the frame of the coroutine that it drives
            frames.append(frame)
    return frames


def nonsense(task: Any, yielded: Any, is_future: bool) -> RuntimeError:
    """The error for a coroutine that yielded what cannot be waited for."""
    if is_future:
        return RuntimeError(f"yield was used instead of yield from in task {task!r} with {yielded!r}: use 'await'")
    if inspect.isgenerator(yielded):
        return RuntimeError(f"yield was used instead of yield from for generator in task {task!r} with {yielded!r}")
    return RuntimeError(f"Task got bad yield: {yielded!r}")
