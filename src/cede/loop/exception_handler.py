"""Errors that nobody awaits: the loop's exception handler."""

from __future__ import annotations

import logging
import sys
import traceback
from contextvars import Context
from typing import TYPE_CHECKING, Any

from cede.loop.mixin import LoopMixin

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("asyncio")


class FailuresMixin(LoopMixin):
    """``call_exception_handler`` and its friends, logging to the ``asyncio`` logger."""

    _exception_handler: Callable[[Any, dict[str, Any]], object] | None = None

    # Kept here, because at the end of the process the names of modules, this one's and those of logging, may go before the last failure.
    _interpreter_ends = staticmethod(sys.is_finalizing)
    _last_stream = sys.__stderr__

    def get_exception_handler(self) -> Callable[[Any, dict[str, Any]], object] | None:
        """The handler set by `set_exception_handler`; None where the default one is in use."""
        return self._exception_handler

    def set_exception_handler(self, handler: Callable[[Any, dict[str, Any]], object] | None) -> None:
        """Have ``handler(loop, context)`` called for errors that nobody awaits; None restores the default handler.

        Raises TypeError if `handler` cannot be called.
        """
        if handler is not None and not callable(handler):
            raise TypeError(f"A callable object or None is expected as handler, got {handler!r}")
        self._exception_handler = handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Log `context` as one error record: the message, every other entry on a line of its own, the exception's
        traceback.
        """
        error = context.get("exception")
        running = getattr(self, "_current_handle", None)
        if "source_traceback" not in context and running is not None:
            born = getattr(running, "_source_traceback", None)
            if born:
                context["handle_traceback"] = born
        lines = [context.get("message") or "Unhandled exception in event loop"]
        for key in sorted(context):
            if key in ("message", "exception"):
                continue
            value = context[key]
            if key in ("source_traceback", "handle_traceback"):
                born_as = "Object" if key == "source_traceback" else "Handle"
                stack = "".join(traceback.format_list(value)).rstrip()
                lines.append(f"{key}: {born_as} created at (most recent call last):\n{stack}")
            else:
                lines.append(f"{key}: {value!r}")
        exc_info = None if error is None else (type(error), error, error.__traceback__)
        logger.error("\n".join(lines), exc_info=exc_info)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report an error that nobody awaits.

        `context` has a ``message`` and may have ``exception``, ``future``, ``task``, ``handle``, ``protocol``,
        ``transport``, ``socket`` and ``asyncgen``. The handler runs in the context of the task or handle that failed
        (as asyncio has it since Python 3.12). What a handler raises is itself reported; only KeyboardInterrupt and
        SystemExit come out of here.
        """
        if not self._interpreter_ends():
            self._report(context)
            return
        try:
            self._report(context)
        except:  # noqa: E722 (the names of exceptions may be gone)
            self._tell_at_the_end(context, self._last_stream)

    def _report(self, context: dict[str, Any]) -> None:
        handler = self._exception_handler
        if handler is None:
            self._report_by_default(context)
            return
        try:
            where = _context_of(context)
            if where is None or not _enter_and_call(where, handler, self, context):
                handler(self, context)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self._report_by_default(
                {"message": "Unhandled error in exception handler", "exception": error, "context": context},
                "Exception in default exception handler while handling an unexpected error in custom exception handler",
            )

    def _report_by_default(self, context: dict[str, Any], if_that_fails: str = "Exception in default exception handler") -> None:
        try:
            self.default_exception_handler(context)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # a subclass may have replaced it, and a repr() may raise
            if self._interpreter_ends():
                raise  # of modules that are empty: `call_exception_handler` knows what to do
            logger.error(if_that_fails, exc_info=True)

    @staticmethod
    def _tell_at_the_end(context: dict[str, Any], stream: Any) -> None:
        """Report `context` while the interpreter takes itself apart. What this raised, it would print without saying what it is about."""
        try:
            error = context.get("exception")
            stream.write(f"{context.get('message')}{'' if error is None else f': {error.__class__.__name__}: {error}'}\n")
            stream.flush()
        except:  # noqa: E722
            pass  # the stream is gone too: there is nobody left to tell


def _enter_and_call(where: Context, handler: Callable[..., object], loop: Any, context: dict[str, Any]) -> bool:
    """Call `handler` in `where`; False: not called, because that context is entered already (we are inside it, then)."""
    began = False

    def call() -> None:
        nonlocal began
        began = True
        handler(loop, context)

    try:
        where.run(call)
    except RuntimeError:
        if began:
            raise
        return False
    return True


if sys.version_info >= (3, 12):

    def _context_of(context: dict[str, Any]) -> Context | None:
        """The context of the task, future or handle that `context` is about, to run the handler in."""
        for key in ("task", "future", "handle"):
            thing = context.get(key)
            if thing is not None:
                get_context = getattr(thing, "get_context", None)
                found = None if get_context is None else get_context()
                return found if isinstance(found, Context) else None
        return None

else:

    def _context_of(context: dict[str, Any]) -> Context | None:
        """None: before Python 3.12 asyncio runs the handler wherever the error was noticed."""
        return None
