# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""Future: a result that will be there later, and its waiters.

Invariants
----------
* The state goes from PENDING to CANCELLED or FINISHED once and stays there; `result`, `exception` and the traceback are set before it.
* The first waiter, if it is a Runnable of the same loop, goes into `waiter`; every other one is appended to `callbacks`. A change of the
  state empties both: a waiting task goes straight on the ready ring, a callback becomes a handle, and `notice` is called at once on a
  waiter that is no task, such as a group that counts its tasks.
* While a future that the runtime made is pending, `value` is its subject: what it is waited on for (`TaskKernel.new_waiter`). The result
  takes the place of the subject. `finish`, `fail` and `cancel_now` release the subject last, because its finalizer may run user code.
* A future whose exception nobody retrieved reports that when it dies (`log_traceback`). It dies at once, because no cycle keeps a
  finished future alive.
"""

from __future__ import annotations

import types
from asyncio import events, exceptions
from collections import deque
from typing import Any

from cede.core import stdlib
from cede.core.scheduler.kernel import Kernel
from cede.core.task.attributed import OpenRunnable
from cede.core.task.awaitable import Operation
from cede.core.task.describe import awaited_by, future_text
from cede.core.task.handle import creation_stack

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import CANCELLED, FINISHED, PENDING, copy_context, places
    from cede.core.scheduler.coop import fair_here, fair_iterator
    from cede.core.task.awaitable import ENDED, FAILED, SUSPENDED

NAMES = ("PENDING", "CANCELLED", "FINISHED")

CancelledError = exceptions.CancelledError
InvalidStateError = exceptions.InvalidStateError


def loop_of_thread() -> Any:
    """The loop that asyncio takes if the caller passes none."""
    return events.get_event_loop()


def several(callbacks: Any) -> Any:
    """The callbacks of a future as a list. A future keeps a single callback as a bare pair, which saves a list."""
    return [callbacks] if type(callbacks) is tuple else callbacks


def call_in_vain(callback: Any, future: Any) -> None:
    """Call what is not callable, so the exception handler hears of it: `call_soon` refuses it, and callbacks behind it would not run."""
    callback(future)


def may_go_straight(kernel: Any) -> bool:
    """Whether `wake` may put a callback on the ring itself, without `call_soon`: nobody has replaced that method."""
    return (
        kernel is not None
        and not (kernel._state or kernel._debug or kernel._inbox.pending)
        and getattr(kernel.call_soon, "__func__", None) is Kernel.call_soon
    )


class Future(OpenRunnable):
    """A result that will be there later. asyncio.Future's API, and ``isinstance(future, asyncio.Future)`` holds.

    Not thread-safe: another thread goes through ``loop.call_soon_threadsafe``.
    """

    if not cython.compiled:
        # Each field that is read all the time has a slot, which `__new__` or pure/turn.py fills. The other fields have their initial values
        # here, as class attributes; a future gets a dictionary when one of them changes.
        __slots__ = places(
            "__dict__",
            "__weakref__",
            "blocking",
            "callbacks",
            "failure",
            "kernel",
            "log_traceback",
            "loop",
            "state",
            "value",
            "waiter",
        )

        callbacks: Any
        failure: Any
        waiter: Any
        is_task = False
        misused = False
        trace: Any = None
        cancel_message: Any = None
        _cancelled_exc: Any = None
        _source_traceback: Any = None

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            self: Any = object.__new__(cls)
            self.loop = self.kernel = self.value = self.failure = self.waiter = self.callbacks = None
            self.state = PENDING
            self.blocking = self.log_traceback = False
            return self

    def __init__(self, *, loop: Any = None) -> None:
        self.refuse_second_birth()
        if loop is None:
            loop = loop_of_thread()
        self.start(loop)

    def refuse_second_birth(self) -> int:
        """Refuse a second `__init__` of a pending object: it may stand on the ring, and it may have waiters, which it would forget."""
        if self.loop is not None and self.state == PENDING:
            raise RuntimeError(f"{type(self).__name__} object is already initialized")
        return 0

    def born(self, kernel: Any) -> int:
        """Turn a fresh object, whose fields are all empty, into a pending future of a cede loop."""
        self.loop = kernel
        self.kernel = kernel
        if kernel._debug:
            self._source_traceback = creation_stack()
        return 0

    def start(self, loop: Any) -> int:
        """Turn any object into a pending future: `__init__` may be called again once the future is done."""
        self.loop = loop
        self.kernel = loop if isinstance(loop, Kernel) else None
        if cython.compiled:
            self.is_task = False
        self.state = PENDING
        self.blocking = False
        self.value = None
        self.failure = None
        self.trace = None
        self.waiter = None
        self.callbacks = None
        self.log_traceback = False
        self.cancel_message = None
        self._cancelled_exc = None
        self._source_traceback = None
        if self.kernel is not None:
            if self.kernel._debug:
                self._source_traceback = creation_stack()
        elif loop.get_debug():
            self._source_traceback = creation_stack()
        return 0

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.Future if type(self) is Future else stdlib.class_of(self, stdlib.Future)

    @classmethod
    def __class_getitem__(cls, item: Any) -> Any:
        return types.GenericAlias(cls, item)

    # -- asking

    def done(self) -> bool:
        """Whether there is a result, an exception, or a cancellation."""
        return self.state != PENDING

    def cancelled(self) -> bool:
        """Whether the future was cancelled."""
        return self.state == CANCELLED

    def result(self) -> Any:
        """The result; raises the exception, CancelledError, or InvalidStateError while there is none."""
        if self.state == FINISHED:
            self.log_traceback = False
            if self.failure is not None:
                if cython.compiled:
                    raise self.failure.with_traceback(self.trace)
                try:
                    raise self.failure.with_traceback(self.trace)
                finally:
                    del self  # the error's traceback holds this frame
            return self.value
        if self.state == CANCELLED:
            raise self._make_cancelled_error()
        raise InvalidStateError("Result is not set.")

    def exception(self) -> BaseException | None:
        """The exception, or None; raises CancelledError, or InvalidStateError while the future is pending."""
        if self.state == FINISHED:
            self.log_traceback = False
            return self.failure
        if self.state == CANCELLED:
            raise self._make_cancelled_error()
        raise InvalidStateError("Exception is not set.")

    def get_loop(self) -> Any:
        """The loop that the future belongs to."""
        self.need_loop()
        return self.loop

    # -- finishing

    def set_result(self, result: Any) -> None:
        """Finish with `result`. Raises InvalidStateError if the future is done."""
        if self.state != PENDING or self.loop is None:
            self.refuse_result()
        if self.waiter is not None and self.kernel._debug:
            self.kernel._check_thread()
        if cython.compiled:
            self.finish(result)
        else:
            # `finish`, inlined to save a call.
            subject = self.value  # noqa: F841
            self.value = result
            self.state = FINISHED
            waiter = self.waiter
            if waiter is not None:
                self.waiter = None
                if waiter.is_task:
                    self.kernel._ready.wake(waiter)
                else:
                    waiter.notice(self)
            if self.callbacks is not None:
                try:
                    self.wake()
                except BaseException:
                    self.wake()  # a signal handler has raised: wake the other waiters all the same
                    raise

    def set_exception(self, exception: Any) -> None:
        """Finish with `exception`, an instance or a class. Raises InvalidStateError if the future is done."""
        if self.state != PENDING or self.loop is None:
            self.refuse_result()
        if isinstance(exception, type):
            exception = exception()
        if not isinstance(exception, BaseException):
            raise TypeError(f"set_exception(): exception must be an exception, got {exception!r}")
        if isinstance(exception, StopIteration):
            # A StopIteration would end the awaiting coroutine as if it had returned.
            replaced = RuntimeError("StopIteration interacts badly with generators and cannot be raised into a Future")
            replaced.__cause__ = exception
            replaced.__context__ = exception
            exception = replaced
        if self.waiter is not None and self.kernel._debug:
            self.kernel._check_thread()
        self.fail(exception)

    def cancel(self, msg: Any = None) -> bool:
        """Cancel: the waiters get CancelledError. Returns False if the future is done."""
        self.need_loop()
        if self.waiter is not None and self.kernel._debug:
            self.kernel._check_thread()
        return self.cancel_now(msg)

    def cancel_now(self, message: Any) -> bool:
        self.log_traceback = False
        if self.state != PENDING:
            return False
        subject = self.value  # noqa: F841
        self.value = None
        self.cancel_message = message
        self.state = CANCELLED
        self.wake()
        return True

    def finish(self, result: Any) -> int:
        subject = self.value  # noqa: F841
        self.value = result
        self.state = FINISHED
        self.wake()
        return 0

    def fail(self, exception: BaseException) -> int:
        subject = self.value  # noqa: F841
        self.value = None
        self.failure = exception
        self.trace = exception.__traceback__
        self.log_traceback = True
        self.state = FINISHED
        self.wake()
        return 0

    def wake(self) -> int:
        """Wake all waiters: the future is done."""
        waiter = self.waiter
        if waiter is not None:
            if not cython.compiled and waiter.is_task:
                # No call between the two statements: a signal handler may raise where a call ends, and `wake` would have to run again.
                ring: Any = self.kernel._ready
                self.waiter = None
                ring += (waiter,)
            else:
                self.waiter = None
                if waiter.is_task:
                    self.kernel._ready.wake(waiter)
                else:
                    waiter.notice(self)
        if self.callbacks is not None:
            callbacks = several(self.callbacks)
            if not cython.compiled and may_go_straight(self.kernel):
                # Each callback leaves the deque as its handle goes on the ring, without a call in between: after an interrupt, the next
                # `wake` does the rest.
                ring = self.kernel._ready
                self.callbacks = callbacks = deque(callbacks)
                while callbacks:
                    callback, context = callbacks[0]
                    handle = self.kernel._new_handle(callback, (self,), context)
                    ring += (handle,)
                    del callbacks[0]
                self.callbacks = None
                return 0
            self.callbacks = None
            for callback, context in callbacks:
                if callable(callback):
                    self.loop.call_soon(callback, self, context=context)
                else:
                    self.loop.call_soon(call_in_vain, callback, self, context=context)
        return 0

    # -- waiting

    def add_done_callback(self, fn: Any, *, context: Any = None) -> None:
        """Call ``fn(future)`` from the loop when the future is done, in `context` (a copy of the current one by default).

        If `fn` is not callable, the loop's exception handler hears of it when the future is done, as with asyncio.
        """
        if context is None:
            context = copy_context()
        if self.state != PENDING:
            if callable(fn):
                self.loop.call_soon(fn, self, context=context)
            else:
                self.loop.call_soon(call_in_vain, fn, self, context=context)
            return
        if self.loop is None:
            self.need_loop()
        if self.callbacks is None:
            self.callbacks = (fn, context)
        else:
            callbacks = several(self.callbacks)
            callbacks.append((fn, context))
            self.callbacks = callbacks

    def remove_done_callback(self, fn: Any) -> int:
        """Remove every entry of the callback `fn`; returns how many there were."""
        self.need_loop()
        removed = 0
        waiter = self.waiter
        if waiter is not None and waiter.wakeup_callback() == fn and self.waiter is waiter:  # the comparison may run user code
            self.waiter = None
            removed = 1
        if self.callbacks is not None:
            # The comparison may run user code that adds or removes callbacks: filter the callbacks that are there after it.
            entries = list(several(self.callbacks))
            gone = {id(entry) for entry in entries if entry[0] == fn}
            removed += len(gone)
            if self.callbacks is not None:
                self.callbacks = [entry for entry in several(self.callbacks) if id(entry) not in gone] or None
        return removed

    if cython.compiled:

        def __await__(self) -> Any:
            self.need_loop()
            return self.iterate()

        def __iter__(self) -> Any:
            self.need_loop()
            return self.iterate()

        def iterate(self) -> Any:
            iterator = FutureIterator.__new__(FutureIterator)
            iterator.future = self
            return iterator

    else:
        # Interpreted, a generator is the cheapest iterator there is.
        def __await__(self) -> Any:
            try:
                if self.state == PENDING:
                    if self.loop is None:
                        self.need_loop()
                    self.blocking = True
                    yield self
                    if self.state == PENDING:
                        raise RuntimeError("await wasn't used with future")
                if self.failure is None and self.state == FINISHED:
                    return self.value
                return self.result()
            finally:
                del self  # an error's traceback holds this frame

        __iter__ = __await__

    # -- what libraries read

    @property
    def _state(self) -> str:
        return NAMES[self.state]

    @property
    def _loop(self) -> Any:
        return self.loop

    @property
    def _result(self) -> Any:
        return None if self.state == PENDING else self.value

    @property
    def _subject(self) -> Any:
        """What a pending future of the runtime is waited on for, see `TaskKernel.new_waiter`. None for any other future."""
        return self.value if self.state == PENDING else None

    @property
    def _exception(self) -> Any:
        return self.failure

    @property
    def _log_traceback(self) -> bool:
        return bool(self.log_traceback)

    @_log_traceback.setter
    def _log_traceback(self, value: Any) -> None:
        if value:
            raise ValueError("_log_traceback can only be set to False")
        self.log_traceback = False

    @_log_traceback.deleter
    def _log_traceback(self) -> None:
        raise AttributeError("_log_traceback cannot be deleted")

    @property
    def _asyncio_future_blocking(self) -> bool:
        return bool(self.blocking)

    @_asyncio_future_blocking.setter
    def _asyncio_future_blocking(self, value: Any) -> None:
        self.blocking = bool(value)

    @_asyncio_future_blocking.deleter
    def _asyncio_future_blocking(self) -> None:
        raise AttributeError("_asyncio_future_blocking cannot be deleted")

    @property
    def _cancel_message(self) -> Any:
        return self.cancel_message

    @_cancel_message.setter
    def _cancel_message(self, value: Any) -> None:
        self.cancel_message = value

    @_cancel_message.deleter
    def _cancel_message(self) -> None:
        raise AttributeError("_cancel_message cannot be deleted")

    @property
    def _callbacks(self) -> Any:
        """Pairs of callback and context, as asyncio keeps them. The waiting task appears as the callback that asyncio would have added."""
        found = []
        if self.waiter is not None:
            found.append((self.waiter.wakeup_callback(), self.waiter.get_context()))
        if self.callbacks is not None:
            found.extend(several(self.callbacks))
        return found or None

    @property
    def _asyncio_awaited_by(self) -> Any:
        return awaited_by(self)

    def _make_cancelled_error(self) -> Any:
        """The CancelledError of this future. The error that caused the cancellation, if there is one, is returned once."""
        if self._cancelled_exc is not None:
            error = self._cancelled_exc
            self._cancelled_exc = None
            return error
        if self.cancel_message is None:
            error = CancelledError()
        else:
            error = CancelledError(self.cancel_message)
        return error

    def refuse_result(self) -> int:
        self.need_loop()
        raise InvalidStateError(f"{NAMES[self.state]}: {self!r}")

    def need_loop(self) -> int:
        if self.loop is None:
            raise RuntimeError("Future object is not initialized: call its __init__ first")
        return 0

    def __repr__(self) -> str:
        if self.loop is None:
            return f"<{type(self).__name__} (not initialized)>"
        return future_text(self)

    def __del__(self) -> None:
        if self.log_traceback and self.loop is not None:
            self.report_unfetched()

    def report_unfetched(self) -> int:
        self.log_traceback = False
        context = {
            "message": f"{type(self).__name__} exception was never retrieved",
            "exception": self.failure,
            "future": self,
        }
        if self._source_traceback:
            context["source_traceback"] = self._source_traceback
        self.loop.call_exception_handler(context)
        return 0


def has_to_tell(future: Future) -> bool:
    """Whether the finalizer would report something."""
    return future.log_traceback


if cython.compiled:
    pool_future(Future)  # type: ignore # noqa: F821
    finalize_future(Future, cython.cast("void *", has_to_tell))  # type: ignore # noqa: F821


class FutureIterator(Operation):
    """One await of a future."""

    def __init__(self, future: Any) -> None:
        Operation.__init__(self)
        self.future = future

    def advance(self) -> int:
        future = self.future
        if future is None:
            self.value = None
            return ENDED
        outcome = await_step(future)
        self.value = await_value(future)
        if outcome != SUSPENDED:
            self.future = None
        return outcome

    def abandon(self) -> int:
        self.future = None
        return 0

    def may_give_way(self) -> bool:
        return self.future is not None and await_gives_way(self.future)


def set_subject(future: Any, subject: Any) -> int:
    """Set the subject of a future that somebody else made for the runtime, if it is a pending cede future without a subject."""
    if type(future) is Future:
        own = future
        if own.state == PENDING and own.value is None:
            own.value = subject
    return 0


def await_gives_way(future: Future) -> bool:
    """Whether a fair loop may give way before an await of `future`: only if it is done, because a cancellation must reach a pending one."""
    return future.state != PENDING


def await_step(future: Future) -> int:
    """The next step of an await of `future`. The caller calls `await_value` next."""
    if future.state == FINISHED:
        future.log_traceback = False
        return ENDED if future.failure is None else FAILED
    if future.state == CANCELLED:
        return FAILED
    future.need_loop()
    if cython.compiled and not defined_in_python(future):  # type: ignore # noqa: F821
        if future.blocking:
            future.misused = True
            return FAILED
        future.blocking = True
        return SUSPENDED
    # A subclass may have a property of that name.
    if future._asyncio_future_blocking:
        future.misused = True
        return FAILED
    future._asyncio_future_blocking = True
    return SUSPENDED


def await_value(future: Future) -> Any:
    """The value that belongs to the answer of `await_step`."""
    if future.state == FINISHED:
        if future.failure is None:
            return future.value
        return future.failure.with_traceback(future.trace)
    if future.state == CANCELLED:
        return future._make_cancelled_error()
    if future.misused:
        future.misused = False
        return RuntimeError("await wasn't used with future")
    return future


if cython.compiled:
    install_await(  # type: ignore # noqa: F821
        Future, cython.cast("void *", await_step), cython.cast("void *", await_value), cython.cast("void *", await_gives_way), door()  # type: ignore # noqa: F821
    )
else:
    Future.may_give_way = await_gives_way  # type: ignore[attr-defined]
    fair_here(Future, "__await__", fair_iterator)
    fair_here(Future, "__iter__", fair_iterator)
