"""The uncompiled twins of what call.h declares."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from contextvars import Context, copy_context
from threading import get_ident
from typing import Any

__all__ = (
    "CANCELLED",
    "FINISHED",
    "PENDING",
    "RAISED",
    "RETURNED",
    "YIELDED",
    "call_in",
    "call_method_in",
    "call_method_with_two_in",
    "copy_context",
    "current_frame",
    "deliver",
    "failure_of",
    "is_this_thread",
    "monotonic",
    "new",
    "places",
    "real_number",
    "run_in",
)

PENDING = 0
CANCELLED = 1
FINISHED = 2

RETURNED = 0
YIELDED = 1
RAISED = 2

monotonic = time.monotonic

# Makes an object without running its `__new__` and `__init__`; the caller fills all its places.
new = object.__new__


def places(*names: str) -> Any:
    """`__slots__` of the uncompiled build, which the type checker must not take for those of the other."""
    return names


def real_number(value: Any) -> float:
    """As C takes a double: a number, not the text of one. Raises TypeError, or OverflowError for a huge int."""
    return math.ldexp(value, 0)


def current_frame() -> Any:
    """The innermost Python frame, which is this function's."""
    return sys._getframe(0)


def is_this_thread(number: int | None) -> bool:
    """Whether a thread's number, as `threading.get_ident` gives it, is that of the running one."""
    return number == get_ident()


def call_in(context: Context, callback: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """``callback(*args)`` inside `context`, or a copy of it where it is entered already."""
    return run_in(context, callback, *args)


def call_method_in(context: Context, owner: Any, name: str, argument: Any) -> Any:
    """``owner.name(argument)`` inside `context`, or a copy of it where it is entered already."""
    return run_in(context, getattr(owner, name), argument)


def call_method_with_two_in(context: Context, owner: Any, name: str, first: Any, second: Any) -> Any:
    """``owner.name(first, second)`` inside `context`, or a copy of it where it is entered already."""
    return run_in(context, getattr(owner, name), first, second)


def run_in(context: Context, method: Callable[..., Any], *args: Any) -> Any:
    """A nested turn may call a protocol whose other method is running."""
    try:
        return context.run(method, *args)
    except RuntimeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None or "enter context" not in str(error):
            raise
    return context.copy().run(method, *args)


def deliver(stream: Any, method: Callable[[Any], Any], argument: Any) -> Any:
    """``method(argument)``, with what was received from `stream`. It is told now: no call stands between, where a handler might raise."""
    stream.kept = None
    return method(argument)


def failure_of(context: Context, callback: Callable[..., Any], args: tuple[Any, ...]) -> BaseException | None:
    """What ``callback(*args)`` raised, or None."""
    try:
        context.run(callback, *args)
    except BaseException as error:
        return error
    finally:
        callback = args = None  # type: ignore[assignment]  # a traceback may keep this frame: see task.py
    return None
