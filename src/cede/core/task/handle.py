# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""Runnable, the entry of the ready ring, and Handle, a callback that runs once.

Invariants
----------
* A handle runs at most once. A cancelled handle never runs, and holds neither its callback nor its arguments.
* The loop's exception handler gets whatever a callback raises, except KeyboardInterrupt and SystemExit: those end the run, and the
  work behind them stays queued. If the callback has a true ``run_again_by_cede``, its handle is the first of the next run: a signal
  handler may have raised in the middle of it, and it then does the rest of its work.
"""

from __future__ import annotations

from asyncio import format_helpers
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from cede.core import stdlib

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import current_frame, failure_of, places


def creation_stack() -> Any:
    """The stack that debug mode keeps for a new object, without the runtime's own frames at the end."""
    frame: Any = current_frame()
    if frame is None:
        return None
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("cede."):
        frame = frame.f_back
    return format_helpers.extract_stack(frame)  # type: ignore[attr-defined]


class Runnable:
    """An entry of the ready ring. `is_task` says whether the turn has to announce this task, or that no task runs."""

    if not cython.compiled:
        __slots__ = ()

        again = False  # whether the turn may call an interrupted `run_ready` again, as long as `begun` is false

    is_task: bool

    def run_ready(self) -> int:
        """Run. The turn calls this. Raises KeyboardInterrupt and SystemExit only."""
        raise NotImplementedError

    def notice(self, future: Any) -> int:
        """`future`, in whose `waiter` slot this object was, is done.

        The step that finished the future calls this, so it must run no user code, and must not raise. Never called on a task: a waiting
        task goes on the ring instead.
        """
        raise NotImplementedError


@cython.trashcan(True)
@cython.cclass
class Handle(Runnable):
    """A callback that the loop is to run; what `call_soon` returns.

    ``isinstance(handle, asyncio.Handle)`` holds.
    """

    if not cython.compiled:
        __slots__ = places("__weakref__", "_args", "_callback", "_cancelled", "_context", "_loop", "_repr", "_source_traceback")

        is_task = False
        _repr: Any

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            self: Any = object.__new__(cls)
            self._callback = self._args = self._loop = self._context = self._repr = self._source_traceback = None
            self._cancelled = False
            return self

    def __init__(self, callback: Callable[..., Any], args: Any, loop: Any, context: Context | None = None) -> None:
        if cython.compiled:
            self.is_task = False
        self._callback = callback
        self._args = tuple(args)
        self._loop = loop
        self._context = copy_context() if context is None else context
        self._cancelled = False
        self._repr = None
        self._source_traceback = None
        if loop.get_debug():
            self._source_traceback = creation_stack()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.Handle if type(self) is Handle else stdlib.class_of(self, stdlib.Handle)

    def cancel(self) -> None:
        """Do not run the callback; release it and its arguments at once."""
        if not self._cancelled:
            self._cancelled = True
            if self._source_traceback is not None:
                # `repr(handle)` is to name the callback afterwards too.
                self._repr = repr(self)
            self._callback = None
            self._args = None

    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return bool(self._cancelled)

    def get_context(self) -> Context | None:
        """The context that the callback runs in."""
        return self._context

    def run_ready(self) -> int:
        if self._cancelled:
            return 0
        error = failure_of(self._context, self._callback, self._args)
        if error is not None:
            self._failed(error)
        if not cython.compiled:
            error = None
            del self  # a traceback may keep this frame: see task.py
        return 0

    def _run(self) -> None:
        """Run the callback now, as asyncio's loop does with its handles."""
        self.run_ready()
        if not cython.compiled:
            del self

    def _failed(self, error: BaseException) -> int:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            if getattr(self._callback, "run_again_by_cede", None) is True:
                self._loop._run_again(self)
            raise error
        return report_failure(self, f"Exception in callback {source_of(self._callback, self._args)}", error)

    def _describe(self) -> list[str]:
        parts = [type(self).__name__]
        if self._cancelled:
            parts.append("cancelled")
        if self._callback is not None:
            parts.append(format_helpers._format_callback_source(self._callback, self._args))  # type: ignore[attr-defined]
        if self._source_traceback:
            frame = self._source_traceback[len(self._source_traceback) - 1]
            parts.append(f"created at {frame[0]}:{frame[1]}")
        return parts

    def __repr__(self) -> str:
        if self._repr is not None:
            return self._repr
        return f"<{' '.join(self._describe())}>"


def source_of(callback: Any, args: Any) -> str:
    """Describe a callback. The `repr` of the callback, and of its arguments, may raise."""
    try:
        return format_helpers._format_callback_source(callback, args)  # type: ignore[attr-defined,no-any-return]
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return f"of {type(callback).__name__!r}, whose repr() raised {type(error).__name__}"


def report_failure(handle: Handle, message: str, error: BaseException) -> int:
    """Pass `error`, which `handle` raised, to the loop's exception handler. Raises KeyboardInterrupt and SystemExit."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error
    context = {"message": message, "exception": error, "handle": handle}
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    handle._loop.call_exception_handler(context)
    return 0
