# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""What the ready ring holds: a Runnable, which is a Handle (a callback to run once) or a Task.

Invariants
----------
* A handle runs at most once; a cancelled one never runs, and holds neither its callback nor its arguments any more.
* Whatever a callback raises is reported to the loop's exception handler, KeyboardInterrupt and SystemExit excepted:
  those end the run, and the work behind them stays queued. A callback of ours that says ``run_again_by_cede`` is then the first of the
  next run: a signal's handler may have raised in the middle of it, and it does what is left to be done.
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
    """The stack that debug mode keeps for a new object, without the runtime's own frames at its end."""
    frame: Any = current_frame()
    if frame is None:
        return None
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("cede."):
        frame = frame.f_back
    return format_helpers.extract_stack(frame)  # type: ignore[attr-defined]


class Runnable:
    """An item of the ready ring. `is_task` tells the turn whether it has to announce a task or the absence of one."""

    if not cython.compiled:
        __slots__ = ()

        again = False  # whether `run_ready` may be called again where it was interrupted, as long as `begun` is false

    is_task: bool

    def run_ready(self) -> int:
        """Run, from the turn. Raises KeyboardInterrupt and SystemExit only."""
        raise NotImplementedError

    def notice(self, future: Any) -> int:
        """`future`, in whose waiter slot this stood, is done. Called inside the step that finished it, so it runs no code of the user's.

        Only for those that are no tasks: a waiting task goes on the ring instead. Must not raise.
        """
        raise NotImplementedError


@cython.trashcan(True)
@cython.cclass
class Handle(Runnable):
    """A callback that was handed to the loop; what `call_soon` returns.

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
        """Never run, and let go of the callback and its arguments at once."""
        if not self._cancelled:
            self._cancelled = True
            if self._source_traceback is not None:
                # The text keeps the callback's name for whoever looks at the handle afterwards.
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
        """Run the callback now, as a loop that is not ours does with a handle of its own."""
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
    """A callback in words. Its own words, and those of its arguments, may fail."""
    try:
        return format_helpers._format_callback_source(callback, args)  # type: ignore[attr-defined,no-any-return]
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return f"of {type(callback).__name__!r}, whose repr() raised {type(error).__name__}"


def report_failure(handle: Handle, message: str, error: BaseException) -> int:
    """Hand what came of running `handle` to its loop's exception handler. KeyboardInterrupt and SystemExit are raised."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error
    context = {"message": message, "exception": error, "handle": handle}
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    handle._loop.call_exception_handler(context)
    return 0
