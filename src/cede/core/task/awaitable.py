# cython: boundscheck=False, nonecheck=False
"""Operation: the base of every awaitable that is a compiled object and not a coroutine.

``await operation`` costs no coroutine frame. An operation behaves like a coroutine where that matters (it has `send`,
`throw` and `close`), so ``create_task(operation)``, ``wait_for(operation, ...)`` and ``gather`` accept it.

A subclass implements `advance`, which returns one of three answers and sets `value` accordingly:

=============  ===============================================================================
answer         the value is
=============  ===============================================================================
``ENDED``      the result of the await
``SUSPENDED``  what is yielded to the task: None (give way), or a Future marked as awaited
``FAILED``     the exception to raise, with the traceback it carries
=============  ===============================================================================

`abandon` is called when nobody waits any more: an exception was thrown in, or the operation was closed.
"""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Coroutine
from typing import Any

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.scheduler.coop import fair_here, fair_iterator

    ENDED = 0
    SUSPENDED = 1
    FAILED = 2
else:
    # Compiled modules cimport the constants; modules that are not compiled import these.
    globals().update(ENDED=0, SUSPENDED=1, FAILED=2)


@cython.trashcan(True)
@cython.cclass
class Operation:
    """An awaitable that is driven by `advance`."""

    value: Any

    def __init__(self) -> None:
        self.value = None

    def advance(self) -> int:
        """Run to the next suspension or the end. Returns ENDED, SUSPENDED or FAILED, and sets `value`."""
        raise NotImplementedError

    def abandon(self) -> int:
        """Clean up: nobody waits any more. Must not raise."""
        return 0

    def may_give_way(self) -> bool:
        """Whether the operation has done nothing yet, so that a fair loop may give way first."""
        return False

    if cython.compiled:

        def __await__(self) -> Any:
            return self

    else:
        # Uncompiled, a generator is the cheapest iterator: it returns its result without a StopIteration.
        def __await__(self) -> Any:
            value: Any = None
            try:
                while True:
                    outcome = self.advance()
                    value = self.value
                    self.value = None
                    if outcome == ENDED:
                        return value
                    if outcome == FAILED:
                        raise value
                    try:
                        yield value
                    except BaseException:
                        self.abandon()
                        raise
            finally:
                del self, value  # an error's traceback holds this frame

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        # Compiled, the type's slot is cede_iternext (awaitable.h), and this body serves explicit calls only.
        outcome = self.advance()
        value = self.value
        self.value = None
        if outcome == SUSPENDED:
            return value
        if outcome == FAILED:
            try:
                raise value
            finally:
                value = None  # the error's traceback holds this frame
        if value is None:
            raise StopIteration
        raise StopIteration(value)

    def send(self, value: Any) -> Any:
        """As ``coroutine.send``."""
        return self.__next__()

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """As ``coroutine.throw``: end the operation with this exception."""
        if sys.version_info >= (3, 12) and (value is not None or traceback is not None):
            warnings.warn(
                "the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature instead",
                DeprecationWarning,
                stacklevel=2,
            )
        if traceback is not None and not isinstance(traceback, types.TracebackType):
            raise TypeError("throw() third argument must be a traceback object")
        if isinstance(kind, BaseException):
            if value is not None:
                raise TypeError("instance exception may not have a separate value")
            value = kind
        elif isinstance(kind, type) and issubclass(kind, BaseException):
            if not isinstance(value, kind):
                value = kind() if value is None else kind(value)
        else:
            raise TypeError(f"exceptions must be classes or instances deriving from BaseException, not {type(kind).__name__}")
        self.abandon()
        if traceback is not None:
            value = value.with_traceback(traceback)
        try:
            raise value
        finally:
            value = kind = None  # the error's traceback holds this frame

    def close(self) -> None:
        """As ``coroutine.close``: nobody will drive the operation any more."""
        self.abandon()


Coroutine.register(Operation)


def _advance(operation: Operation) -> int:
    return operation.advance()


def _value(operation: Operation) -> Any:
    value = operation.value
    operation.value = None
    return value


def _may_give_way(operation: Operation) -> bool:
    return operation.may_give_way()


if cython.compiled:
    install_iternext(  # type: ignore # noqa: F821
        Operation, cython.cast("void *", _advance), cython.cast("void *", _value), cython.cast("void *", _may_give_way), door()  # type: ignore # noqa: F821
    )
else:
    fair_here(Operation, "__await__", fair_iterator)
