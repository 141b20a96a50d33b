# cython: auto_pickle=False
"""Deadline: a timer that tells its owner, for time limits that are set far more often than they are reached.

Invariants
----------
* A deadline that was cleared never tells anybody, also where it lay on the ready ring already.
* What telling it raises is reported, and the loop goes on.
* One that was due when it was set is told in the next turn, before anything that becomes ready after it.
"""

from __future__ import annotations

from typing import Any

from cede.core.scheduler.task_kernel import TaskKernel
from cede.core.scheduler.timers import TimerHandle
from cede.core.task.handle import creation_stack, report_failure

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import places, real_number


class DeadlineTimer(TimerHandle):
    """A timer that runs no user code: it needs no callback, no arguments and no context."""

    limit: Any

    if not cython.compiled:
        __slots__ = places("limit")

    def run_ready(self) -> int:
        if not self._cancelled:
            limit = self.limit
            self._cancelled = True
            self.limit = None
            try:
                limit.overdue()
            except BaseException as error:
                # What stops a task may be code of the program's (a future of its own), or go too deep (a long chain of tasks).
                report_failure(self, "A time limit was reached, and failed to stop its task", error)
                error = None  # uncompiled, its traceback holds this frame
        return 0


def overdue_of(limit: Any) -> None:
    limit.overdue()


def set_deadline(loop: Any, when: float, limit: Any, is_later: bool) -> Any:
    """Call ``limit.overdue()`` when `loop` says it is `when`; `is_later` where that is known to lie ahead. Returns the timer."""
    if not isinstance(loop, TaskKernel):
        if not is_later and when <= loop.time():
            return loop.call_soon(overdue_of, limit)
        return loop.call_at(when, overdue_of, limit)
    return set_on_kernel(loop, when, limit, is_later)


def set_on_kernel(kernel: TaskKernel, when: float, limit: Any, is_later: bool) -> Any:
    """`set_deadline` on a loop that is known to be cede's."""
    if kernel._state:
        kernel._refuse()
    if not cython.compiled and type(when) is not float:
        when = real_number(when)
    if when != when:
        raise ValueError("the time must not be NaN")
    timer = DeadlineTimer.__new__(DeadlineTimer)
    if cython.compiled:
        timer.is_task = False
    timer._callback = None
    timer._args = None
    timer._context = None
    timer._repr = None
    timer._cancelled = False
    timer._loop = kernel
    timer._source_traceback = creation_stack() if kernel._debug else None
    timer._when = when
    timer.limit = limit
    if not is_later and when <= kernel.now():
        kernel._ready.wake(timer)
    else:
        kernel._timers.push(timer)
    return timer


def clear_deadline(timer: Any) -> int:
    """Take back what `set_deadline` returned."""
    if type(timer) is DeadlineTimer:
        own = timer
        if not own._cancelled:
            own._cancelled = True
            own.limit = None
            if own._heap is not None:
                own._heap.remove(own)
    elif timer is not None:
        timer.cancel()
    return 0


if cython.compiled:
    pool_deadline(DeadlineTimer)  # type: ignore # noqa: F821
