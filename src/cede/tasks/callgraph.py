"""Call graphs: who waits for whom, with the frames of each. As asyncio's functions of these names, on every version.

A future knows who waits for it by the callbacks it keeps (`Future._asyncio_awaited_by`); what a library says by `future_add_to_awaited_by`
comes on top.
"""

from __future__ import annotations

import asyncio
import sys
import types
import weakref
from asyncio import events
from dataclasses import dataclass
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from typing import Any

from cede.core import stdlib
from cede.core.task.describe import frames_inside
from cede.core.task.future import Future

_told: weakref.WeakKeyDictionary[Any, weakref.WeakSet[Any]] = weakref.WeakKeyDictionary()

if sys.version_info >= (3, 14):
    from asyncio import FrameCallGraphEntry as FrameCallGraphEntry
    from asyncio import FutureCallGraph as FutureCallGraph
else:

    @dataclass(frozen=True, slots=True)
    class FrameCallGraphEntry:
        """One frame of a call stack."""

        frame: types.FrameType

    @dataclass(frozen=True, slots=True)
    class FutureCallGraph:
        """A future, the frames of the coroutine that it runs (none where it is no task), and the graphs of those that wait for it."""

        future: Any
        call_stack: tuple[FrameCallGraphEntry, ...]
        awaited_by: tuple[FutureCallGraph, ...]


def future_add_to_awaited_by(fut: Any, waiter: Any, /) -> None:
    """Say that `waiter` waits for `fut`, where no callback of its own says so."""
    stock = getattr(asyncio, "future_add_to_awaited_by", None)
    if stock is not None:
        stock(fut, waiter)
    passed_over = stock is None or isinstance(fut, Future)  # asyncio's function sees to asyncio's own classes alone
    if passed_over and isinstance(fut, stdlib.Future) and isinstance(waiter, stdlib.Future):
        _told.setdefault(fut, weakref.WeakSet()).add(waiter)


def future_discard_from_awaited_by(fut: Any, waiter: Any, /) -> None:
    """Say that `waiter` waits for `fut` no longer."""
    stock = getattr(asyncio, "future_discard_from_awaited_by", None)
    if stock is not None:
        stock(fut, waiter)
    told = _told.get(fut) if isinstance(fut, stdlib.Future) else None
    if told is not None:
        told.discard(waiter)
        if not told:
            del _told[fut]


def waiters_of(future: Any) -> set[Any]:
    found = set(getattr(future, "_asyncio_awaited_by", None) or ())
    if not isinstance(future, Future):
        # What asyncio's own say, where they do not say it by themselves (before 3.14).
        for callback, _ in getattr(future, "_callbacks", None) or ():
            owner = getattr(callback, "__self__", None)
            owner = getattr(owner, "awaiting_task", owner)
            if owner is not None and asyncio.isfuture(owner):
                found.add(owner)
    found.update(_told.get(future, ()))
    return found


def graph_of(future: Any, limit: int | None, above: frozenset[int] = frozenset()) -> FutureCallGraph:
    if not isinstance(future, stdlib.Future):
        raise TypeError(f"{future!r} object does not appear to be compatible with asyncio.Future")
    get_coro = getattr(future, "get_coro", None)
    stack = [FrameCallGraphEntry(frame) for frame in frames_inside(get_coro())] if get_coro is not None and limit != 0 else []
    if limit is not None:
        stack = stack[:limit] if limit > 0 else stack[limit:] if limit < 0 else []
    stack.reverse()
    above |= {id(future)}
    waiters = tuple(graph_of(each, limit, above) for each in waiters_of(future) if id(each) not in above)
    return FutureCallGraph(future, tuple(stack), waiters)


def capture_call_graph(future: Any = None, /, *, depth: int = 1, limit: int | None = None) -> FutureCallGraph | None:
    """The call graph of a future, or of the current task; None where there is no task.

    depth: how many of the innermost frames of the current task are left out. limit: at most so many frames of each, those nearest to the
    place of the call where it is positive, the outermost ones where it is negative. Raises RuntimeError where no loop runs and no future is
    given.
    """
    loop = events._get_running_loop()
    current = None if loop is None else asyncio.current_task(loop)
    if future is None and loop is None:
        raise RuntimeError("capture_call_graph() is called outside of a running event loop and no *future* to introspect was provided")
    if future is not None and future is not current:
        return graph_of(future, limit)
    if current is None:
        return None
    stack = []
    frame: Any = sys._getframe(depth) if limit != 0 else None
    try:
        while frame is not None:
            stack.append(FrameCallGraphEntry(frame))
            if is_async(frame) and frame.f_back is not None and not is_async(frame.f_back):
                break  # below stands the loop
            frame = frame.f_back
    finally:
        del frame
    if limit is not None:
        stack = stack[-limit:] if limit < 0 else stack[:limit]
    return FutureCallGraph(current, tuple(stack), tuple(graph_of(each, limit, frozenset((id(current),))) for each in waiters_of(current)))


def is_async(frame: Any) -> bool:
    return bool(frame.f_code.co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR))


def format_call_graph(future: Any = None, /, *, depth: int = 1, limit: int | None = None) -> str:
    """`capture_call_graph` as text; "" where there is no task."""
    graph = capture_call_graph(future, depth=depth + 1, limit=limit)
    lines: list[str] = []
    if graph is not None:
        render(graph, lines, "")
    return "\n".join(lines)


def render(graph: FutureCallGraph, lines: list[str], margin: str) -> None:
    future: Any = graph.future
    named = f"Task(name={future.get_name()!r}, " if isinstance(future, stdlib.Task) else "Future("
    lines.append(f"{margin}* {named}id={id(future):#x})")
    if graph.call_stack:
        lines.append(f"{margin}  + Call stack:")
    for entry in graph.call_stack:
        code = entry.frame.f_code
        flags = code.co_flags
        kind = ""
        if flags & CO_COROUTINE:
            kind = "async "
        elif flags & CO_ASYNC_GENERATOR:
            kind = "async generator "
        elif flags & CO_GENERATOR:
            kind = "generator "
        lines.append(f"{margin}  |   File {code.co_filename!r}, line {entry.frame.f_lineno}, in {kind}{code.co_qualname}()")
    if graph.awaited_by:
        lines.append(f"{margin}  + Awaited by:")
    for waiter in graph.awaited_by:
        render(waiter, lines, margin + "    ")


def print_call_graph(future: Any = None, /, *, file: Any = None, depth: int = 1, limit: int | None = None) -> None:
    """Print `format_call_graph`, to stdout by default."""
    print(format_call_graph(future, depth=depth + 1, limit=limit), file=file)
