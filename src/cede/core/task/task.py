# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""Task: a coroutine that the loop drives.

Invariants
----------
* A task is in exactly one place: running, on the ready ring, parked (``waits_for`` is the future, which refers to the task), or done.
  ``waits_for`` stays set from the moment of parking until the step that follows.
* `cancel` counts the request first, then cancels the future that the task waits for. Only if that future refuses does it set
  `PENDING_CANCEL`, which the step that delivers the error clears. So the task gets each request once, and loses none.
* While a task is inside a cancelled scope it has the flag `IN_CANCELLED_SCOPE`: each time it starts to wait, it asks its scope whether to
  cancel that wait.
* asyncio knows each pending task of a cede loop, and keeps it alive. A task that is done is withdrawn from asyncio, and lives as long as
  somebody else refers to it. A failed task that nobody holds dies, and reports its exception, at once.
* A step enters the task's context and leaves it again, whatever happens in it.
* Uncompiled, each method that runs a coroutine deletes its locals at its end. A traceback keeps the coroutine's frame, that frame keeps
  the frames of its callers, and their `self` would be the task: a cycle, and a failed task that reports late.

A task works on a foreign loop too, through that loop's ``call_soon``.
"""

from __future__ import annotations

import contextvars
import inspect
import itertools
import types
from asyncio import base_tasks, coroutines, exceptions, futures
from collections.abc import Awaitable
from typing import Any

from cede.core import stdlib
from cede.core.task.cancel_request import tell, watch
from cede.core.task.describe import nonsense, stands_still, task_text
from cede.core.task.future import Future, loop_of_thread
from cede.core.task.registry import enter_task, leave_task, put_back, register_weak, swap_current, unregister_weak

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import CANCELLED, FINISHED, PENDING, RAISED, RETURNED, YIELDED, copy_context, current_frame, monotonic, places
    from cede.core.task.announce import announce, withdraw

    PENDING_CANCEL = 1
    IN_CANCELLED_SCOPE = 2

CancelledError = exceptions.CancelledError
CoroutineType = types.CoroutineType
GeneratorType = types.GeneratorType
CO_ITERABLE_COROUTINE = inspect.CO_ITERABLE_COROUTINE

if cython.compiled:
    task_numbers = 0

    def next_number() -> int:
        global task_numbers  # noqa: PLW0603 - a C integer
        task_numbers += 1
        return task_numbers

else:
    next_number = itertools.count(1).__next__

# Handles on a foreign loop, and callbacks of foreign futures, run in an empty context; the step itself enters the task's own.
_no_context = contextvars.Context


class Task(Future):
    """A coroutine, or a generator, run by an event loop. asyncio.Task's API, and ``isinstance(task, asyncio.Task)`` holds.

    coro: a coroutine; an object with the methods of one; or a generator, whose bare ``yield`` gives way and whose
    ``value = yield awaitable`` waits. Raises TypeError for anything else.
    """

    def __init__(
        self, coro: Any, *, loop: Any = None, name: Any = None, context: Any = None, eager_start: bool = False
    ) -> None:
        self.refuse_second_birth()
        if loop is None:
            loop = loop_of_thread()
        self.tells_if_destroyed = False
        self.check_coroutine(coro)
        self.start(loop)
        self.name = None
        self.waits_for = None
        self.sends = None
        self.cancel_flags = 0
        self.scope = None
        self.cancel_request = None
        self.cancels = 0
        self.launch(coro, name, context, eager_start)
        if not cython.compiled:
            coro = None
            del self

    if not cython.compiled:
        # As in Future. `plain` is true if the turn may resume the coroutine itself: a native coroutine on a cede loop.
        __slots__ = places(
            "cancels",
            "context",
            "coro",
            "gives_way",
            "cancel_flags",
            "number",
            "outcome",
            "plain",
            "tells_if_destroyed",
            "waits_for",
        )

        coro: Any
        waits_for: Any
        is_task = True
        name: Any = None
        sends: Any = None
        scope: Any = None
        cancel_request: Any = None

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            self: Any = Future.__new__(cls)
            self.coro = self.context = self.waits_for = self.number = None
            self.plain = self.gives_way = self.tells_if_destroyed = False
            self.cancel_flags = self.cancels = 0
            return self

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.Task if type(self) is Task else stdlib.class_of(self, stdlib.Task)

    def check_coroutine(self, coro: Any) -> int:
        if type(coro) is not CoroutineType:
            if isinstance(coro, GeneratorType):
                # A generator made by @types.coroutine follows asyncio's strict protocol; a plain generator may give way by a bare `yield`.
                self.gives_way = not coro.gi_code.co_flags & CO_ITERABLE_COROUTINE
            elif not coroutines.iscoroutine(coro):
                raise TypeError(f"a coroutine was expected, got {coro!r}")
        return 0

    def launch(self, coro: Any, name: Any, context: Any, eager_start: bool) -> int:
        """Finish the construction: put the task on the ready ring, or take its first step."""
        kernel = self.kernel
        if cython.compiled:
            self.is_task = True
        else:
            self.plain = type(coro) is CoroutineType and kernel is not None
        if context is None:
            self.context = copy_context()
        elif isinstance(context, contextvars.Context):
            self.context = context
        else:
            raise TypeError(f"a contextvars.Context was expected as context, got {context!r}")
        if name is None:
            # Take the number now, and make the text when somebody reads it: most names are never read.
            self.number = next_number()
        else:
            self.name = str(name)
        self.coro = coro
        self.tells_if_destroyed = True
        if eager_start and self.loop.is_running():
            if kernel is not None:
                kernel._check_home()
            self.step_eagerly()
        elif kernel is not None:
            if kernel._state:
                kernel._refuse()
            kernel._ready.wake(self)
            announce(self)
        else:
            self.loop.call_soon(self._step_on_foreign_loop, context=_no_context())
            register_weak(self)
        if not cython.compiled:
            coro = None
            del self
        return 0

    # -- asking

    def get_coro(self) -> Any:
        """The coroutine; None if an eager task ended in its first step."""
        return self.coro

    def get_context(self) -> contextvars.Context:
        """The context that the task runs in."""
        return self.context

    def get_name(self) -> str:
        """The name of the task."""
        if self.name is None:
            self.name = f"Task-{self.number}"
        return self.name

    def set_name(self, value: object) -> None:
        """Name the task."""
        self.name = str(value)

    def get_stack(self, *, limit: int | None = None) -> Any:
        """The frames of the suspended coroutine, or, if the task failed, of the traceback."""
        return base_tasks._task_get_stack(self, limit)  # type: ignore[attr-defined,arg-type]

    def print_stack(self, *, limit: int | None = None, file: Any = None) -> None:
        """Print `get_stack` as a traceback, to stderr by default."""
        base_tasks._task_print_stack(self, limit, file)  # type: ignore[attr-defined,arg-type]

    def set_result(self, result: Any) -> None:
        raise RuntimeError("Task does not support set_result operation")

    def set_exception(self, exception: Any) -> None:
        raise RuntimeError("Task does not support set_exception operation")

    # -- cancelling

    def cancel(self, msg: Any = None) -> bool:
        """Ask the task to stop: CancelledError is thrown in where it waits. Returns False if the task is done.

        `cancelling` counts the requests; `uncancel` takes one back.
        """
        self.need_loop()
        self.log_traceback = False
        if self.state != PENDING:
            return False
        if self.waits_for is not None and self.kernel is not None and self.kernel._debug:
            self.kernel._check_thread()
        self.cancels += 1
        self.note_request(msg)
        if self.waits_for is not None:
            if self.waits_for.cancel(msg=msg):
                return True
        self.cancel_flags |= PENDING_CANCEL
        self.cancel_message = msg
        return True

    def note_request(self, why: Any) -> int:
        """Note who asks the task to stop: `cancel_request.py` turns that into text if somebody reads it."""
        by = None
        kernel = self.kernel
        if kernel is not None and kernel._announced_task is not None:
            asker = kernel._announced_task
            by = asker.number if asker.name is None else asker.name
        frame = current_frame()
        if frame is None:
            self.cancel_request = (by, monotonic(), why, None, 0)
        else:
            if not cython.compiled:
                frame = frame.f_back
                while frame.f_back is not None and frame.f_code.co_filename == __file__:
                    frame = frame.f_back
            self.cancel_request = (by, monotonic(), why, frame.f_code, frame.f_lasti)
        if kernel is not None and (kernel._debug or kernel.slow_cancel_duration is not None):
            watch(self, self.cancel_request)
        return 0

    def cancelling(self) -> int:
        """How many requests to cancel have been made and not taken back."""
        return int(self.cancels)

    def uncancel(self) -> int:
        """Take one request back; returns how many remain. At 0, drops a request that no step has delivered yet."""
        if self.cancels > 0:
            self.cancels -= 1
            if self.cancels == 0:
                self.cancel_flags &= ~PENDING_CANCEL
        return int(self.cancels)

    # -- stepping

    def run_ready(self) -> int:
        """Take the next step. The turn calls this."""
        waited = self.waits_for
        if waited is None:
            if cython.compiled and self.state == PENDING and not self.cancel_flags:
                return self.go_on()
            self.step(None)
        else:
            self.waits_for = None
            if waited.state == FINISHED and waited.failure is None:
                if self.gives_way:
                    self.sends = waited.value
                elif cython.compiled and self.state == PENDING and not self.cancel_flags:
                    return self.go_on()
                self.step(None)
            else:
                self.step(failure_of_future(waited))
        if not cython.compiled:
            waited = None
            del self
        return 0

    if cython.compiled:

        def go_on(self) -> int:
            """The short form of `step` and `resume` for nearly all steps: nothing to throw in, nothing to send."""
            kernel = self.kernel
            if kernel._announced_task is not self:
                kernel.announce(self)
            if self.sends is not None:
                return self.resume(None)
            result = resume_plain(self.context, self.coro, cython.address(self.outcome))  # type: ignore # noqa: F821
            if result is None and self.outcome == YIELDED and not self.cancel_flags:
                kernel._ready.wake(self)
                return 0
            return self.settle(result)

    def _wakeup(self, future: Any) -> None:
        """Callback of a future that is foreign, or that has other waiters before this task: it is done."""
        failure = None
        self.waits_for = None
        try:
            value = future.result()
        except BaseException as error:
            failure = error
        else:
            if self.gives_way:
                self.sends = value
        try:
            self.step(failure)
        finally:
            failure = future = value = None
            if not cython.compiled:
                del self

    def wakeup_callback(self) -> Any:
        """The callback that this task adds to a future."""
        return self._wakeup

    def _step_on_foreign_loop(self) -> None:
        self.step(None)
        if not cython.compiled:
            del self

    def _step_with(self, error: Any) -> None:
        self.step(error)
        if not cython.compiled:
            error = None
            del self

    def step(self, failure: Any) -> int:
        """Resume the coroutine once, throwing `failure` in if that is not None, and handle the outcome."""
        if self.state != PENDING:
            return self.refuse_step()
        if self.cancel_flags & PENDING_CANCEL:
            if not isinstance(failure, CancelledError):
                failure = self._make_cancelled_error()
        if self.cancel_request is not None and isinstance(failure, CancelledError):
            if not hasattr(failure, "__notes__"):  # the error may come from another task, and have its own note
                tell(failure, self.cancel_request)
            self.cancel_request = None
        kernel = self.kernel
        if kernel is not None:
            if kernel._announced_task is not self:
                kernel.announce(self)
            self.resume(failure)
        else:
            enter_task(self.loop, self)
            try:
                self.resume(failure)
            finally:
                leave_task(self.loop, self)
        if not cython.compiled:
            failure = None
            del self
        return 0

    def refuse_step(self) -> int:
        """Report that somebody finished the task behind its back (``Future.set_result(task, ...)``) while it was on the ring."""
        self.leave()
        error = exceptions.InvalidStateError(f"step(): already done: {self!r}")
        if self.kernel is None:
            raise error
        self.loop.call_exception_handler({"message": "A task that is done was to go on", "exception": error, "task": self})
        return 0

    def step_eagerly(self) -> int:
        """Take the first step inside the constructor. The task that makes this one is interrupted, and becomes current again afterwards."""
        kernel = self.kernel
        shown = None if kernel is None else kernel._announced_task
        previous = swap_current(self.loop, self)
        if kernel is not None:
            kernel._announced_task = self
        began = True
        try:
            announce(self)
            self.resume(None)
            began = self.outcome != RAISED or not stands_still(self.coro)
        finally:
            if kernel is not None:
                kernel._announced_task = shown
            put_back(self.loop, previous)  # a turn that the step ran by hand leaves no current task
            if self.state != PENDING:
                self.coro = None
                withdraw(self)
            elif kernel is None:
                # On a foreign loop asyncio keeps a weak reference to a pending task, as to that loop's own.
                register_weak(self)
                withdraw(self)
        if not began:
            self.refuse_context()
        if not cython.compiled:
            previous = shown = None
            del self
        return 0

    def refuse_context(self) -> int:
        """Raise in the caller, whose mistake it is: the context was entered already, and the coroutine has not begun."""
        self.log_traceback = False
        raise self.failure

    def resume(self, failure: Any) -> int:
        if failure is not None:
            # Clear the flag here, at the delivery: uncompiled, a signal handler might raise between an earlier clearing and the delivery,
            # and the request would be lost.
            self.cancel_flags &= ~PENDING_CANCEL
        if cython.compiled:
            if self.sends is not None and failure is None:
                value = self.sends
                self.sends = None
                result = resume_step_with(self.context, self.coro, value, cython.address(self.outcome))  # type: ignore # noqa: F821
            else:
                result = resume_step(self.context, self.coro, failure, cython.address(self.outcome))  # type: ignore # noqa: F821
        else:
            # Uncompiled, this does what call.h does, inlined to save a call in each step.
            self.outcome = YIELDED
            try:
                if failure is not None:
                    result = self.context.run(self.coro.throw, failure)
                elif self.sends is None:
                    result = self.context.run(self.coro.send, None)
                else:
                    value = self.sends
                    self.sends = None
                    result = self.context.run(self.coro.send, value)
            except StopIteration as stop:
                self.outcome = RETURNED
                result = stop.value
            except BaseException as error:
                # This frame refers to `failure`, which may be this very error: without the cut that is a reference cycle.
                self.outcome = RAISED
                result = error.with_traceback(error.__traceback__.tb_next)  # type: ignore[union-attr]

        self.settle(result)
        if not cython.compiled:
            failure = result = None
            del self
        return 0

    def settle(self, result: Any) -> int:
        """Handle what the coroutine yielded, returned or raised."""
        if self.outcome == YIELDED:
            if result is None and self.kernel is not None:
                if self.cancel_flags & IN_CANCELLED_SCOPE:
                    self.scope.press_ready(self)
                self.kernel._ready.wake(self)
            elif type(result) is Future or type(result) is Task:
                self.park(result)
            else:
                self.park_elsewhere(result)
        elif self.outcome == RETURNED:
            if self.cancel_flags & PENDING_CANCEL:
                # The task cancelled itself, directly or through what it called, in its last step.
                self.cancel_flags = 0
                self.cancel_now(self.cancel_message)
            else:
                self.finish(result)
            self.leave()
        else:
            self.end_by(result)
        if not cython.compiled:
            result = None
            del self
        return 0

    def park(self, future: Any) -> int:
        """Wait for a cede future."""
        if not future.blocking or future.loop is not self.loop or future is self or self.kernel is None:
            return self.park_elsewhere(future)
        future.blocking = False
        self.waits_for = future
        if future.state != PENDING:
            self.kernel._ready.wake(self)
        elif future.waiter is None and future.callbacks is None:
            future.waiter = self
        else:
            # There is a waiter already, and the order of arrival decides: add a callback.
            future.add_done_callback(self._wakeup, context=_no_context())
        if self.cancel_flags:
            self.pass_on(future)
        return 0

    def pass_on(self, future: Any) -> int:
        """Called when a task with cancel flags starts to wait for `future`: cancel the future, or let the scope decide."""
        if self.cancel_flags & PENDING_CANCEL:
            if future.cancel(msg=self.cancel_message):
                self.cancel_flags &= ~PENDING_CANCEL
        elif self.cancel_flags & IN_CANCELLED_SCOPE:
            self.scope.redeliver(self)
        return 0

    def park_elsewhere(self, result: Any) -> int:
        """Wait for anything else that a coroutine may yield, or throw an error into the coroutine."""
        try:
            return self.park_foreign(result)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # The yielded object's own code raised: throw the error into the coroutine, instead of ending the run or waiting for ever.
            self.waits_for = None
            return self.step_soon(error)

    def park_foreign(self, result: Any) -> int:
        if result is None:
            self.loop.call_soon(self._step_on_foreign_loop, context=_no_context())
            return 0
        blocking = getattr(result, "_asyncio_future_blocking", None)
        error: Any = None
        if blocking is not None:
            if futures._get_loop(result) is not self.loop:  # type: ignore[attr-defined]
                error = RuntimeError(f"Task {self!r} got Future {result!r} attached to a different loop")
            elif blocking or self.gives_way:
                if result is self:
                    error = RuntimeError(f"Task cannot await on itself: {self!r}")
                else:
                    result._asyncio_future_blocking = False
                    result.add_done_callback(self._wakeup, context=_no_context())
                    self.waits_for = result
                    if self.cancel_flags:
                        self.pass_on(result)
                    return 0
            else:
                error = nonsense(self, result, True)
        elif self.gives_way:
            if isinstance(result, Awaitable) or coroutines.iscoroutine(result):
                return self.wait_for_awaitable(result)
            return self.step_soon(None)
        else:
            error = nonsense(self, result, False)
        return self.step_soon(error)

    def wait_for_awaitable(self, awaitable: Any) -> int:
        """Wait for an awaitable that is no future, which a generator yielded: a task of its own drives it."""
        from cede.core.task.wrap import as_coroutine

        child = Task(as_coroutine(awaitable), loop=self.loop, context=self.context)
        child.add_done_callback(self._wakeup, context=_no_context())
        self.waits_for = child
        if self.cancel_flags:
            self.pass_on(child)
        return 0

    def step_soon(self, error: Any) -> int:
        if error is None and self.kernel is not None:
            self.kernel._ready.wake(self)
        else:
            self.loop.call_soon(self._step_with, error, context=_no_context())
        return 0

    def end_by(self, error: BaseException) -> int:
        """Finish the task: the coroutine raised `error`."""
        if isinstance(error, CancelledError):
            self._cancelled_exc = error
            self.cancel_now(None)
            self.leave()
        elif isinstance(error, (KeyboardInterrupt, SystemExit)):
            self.fail(error)
            self.leave()
            raise error
        else:
            self.fail(error)
            self.leave()
        return 0

    def leave(self) -> int:
        """Withdraw the finished task from asyncio, which has kept it alive."""
        if self.kernel is not None:
            withdraw(self)
        else:
            unregister_weak(self)
        return 0

    def forget(self) -> None:
        """Stop keeping the task alive: its loop was closed while it was pending."""
        withdraw(self)

    # -- what libraries read

    @property
    def _coro(self) -> Any:
        return self.coro

    @property
    def _context(self) -> Any:
        return self.context

    @property
    def _name(self) -> str:
        return self.get_name()

    @property
    def _fut_waiter(self) -> Any:
        return self.waits_for

    @property
    def _log_destroy_pending(self) -> bool:
        return bool(self.tells_if_destroyed)

    @_log_destroy_pending.setter
    def _log_destroy_pending(self, value: Any) -> None:
        self.tells_if_destroyed = bool(value)

    @_log_destroy_pending.deleter
    def _log_destroy_pending(self) -> None:
        raise AttributeError("_log_destroy_pending cannot be deleted")

    @property
    def _must_cancel(self) -> bool:
        return bool(self.cancel_flags & PENDING_CANCEL)

    @_must_cancel.setter
    def _must_cancel(self, value: Any) -> None:
        if value:
            self.cancel_flags |= PENDING_CANCEL
        else:
            self.cancel_flags &= ~PENDING_CANCEL

    @_must_cancel.deleter
    def _must_cancel(self) -> None:
        raise AttributeError("_must_cancel cannot be deleted")

    @property
    def _num_cancels_requested(self) -> int:
        return int(self.cancels)

    def __repr__(self) -> str:
        if self.loop is None:
            return f"<{type(self).__name__} (not initialized)>"
        return task_text(self)

    def __del__(self) -> None:
        if self.loop is None:
            return
        if self.state == PENDING and self.tells_if_destroyed:
            context = {"task": self, "message": "Task was destroyed but it is pending!"}
            if self._source_traceback:
                context["source_traceback"] = self._source_traceback
            self.loop.call_exception_handler(context)
        if self.log_traceback:
            self.report_unfetched()


def failure_of_future(future: Any) -> Any:
    """The exception of a cede future that failed or was cancelled; marks it as retrieved."""
    if future.state == CANCELLED:
        return future._make_cancelled_error()
    future.log_traceback = False
    return future.failure.with_traceback(future.trace)


def has_to_tell(task: Task) -> bool:
    """Whether the finalizer would report something."""
    return task.log_traceback or (task.state == PENDING and task.tells_if_destroyed)


if cython.compiled:
    pool_task(Task)  # type: ignore # noqa: F821
    finalize_task(Task, cython.cast("void *", has_to_tell))  # type: ignore # noqa: F821
