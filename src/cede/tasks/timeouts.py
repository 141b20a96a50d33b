# cython: auto_pickle=False
"""timeout, timeout_at: a time limit for a block of code.

Invariants
----------
* A limit that is reached asks its task to stop once (`Task.cancel`), and takes that request back when the block is left: `cancelling()` is
  then what it was. Only where nobody else asked meanwhile does CancelledError become TimeoutError.
* A limit that was left is never reached.
"""

from __future__ import annotations

import asyncio
from asyncio import events, exceptions
from types import GenericAlias
from typing import Any

from cede.core import stdlib
from cede.core.scheduler.task_kernel import TaskKernel
from cede.core.task.coroutine_methods import coroutine_methods
from cede.core.task.task import Task
from cede.tasks import blocks
from cede.tasks.completed import Instant, instant
from cede.tasks.deadline import clear_deadline, set_deadline, set_on_kernel

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import monotonic, places
    from cede.core.pure.shims import real_number as seconds_of
    from cede.sync import pure

    CREATED = 0
    ENTERED = 1
    EXPIRING = 2
    EXPIRED = 3
    EXITED = 4

STAGES = ("created", "active", "expiring", "expired", "finished")

CancelledError = exceptions.CancelledError
get_running_loop = events.get_running_loop


def task_on(loop: Any) -> Any:
    """The task that runs now on `loop`, which is the running one; None in a callback."""
    if isinstance(loop, TaskKernel):
        return task_of(loop)
    return asyncio.current_task(loop)


def task_of(kernel: TaskKernel) -> Any:
    """The same on a loop of ours."""
    if kernel._announced_task is not None and kernel._task_factory is None:
        return kernel._announced_task
    # A task of asyncio's own, or of somebody's factory, is known to asyncio alone.
    return asyncio.current_task(kernel)  # type: ignore[arg-type]


def requests_of(task: Any) -> int:
    """How often `task` was asked to stop."""
    if type(task) is Task:
        own = task
        return own.cancels
    return int(task.cancelling())


def ask_to_stop(task: Any, why: str) -> int:
    """Cancel `task`, with a reason that is no argument of the error."""
    task.cancel()
    if type(task) is Task:
        own = task
        own.cancel_request = (None, monotonic(), why, None, 0)
    return 0


@cython.trashcan(True)
@cython.freelist(64)
@cython.cclass
class Timeout:
    """``async with timeout(...)``: what the block awaits is cancelled when the time is up, and the block raises TimeoutError.

    asyncio.Timeout's API, and ``isinstance(limit, asyncio.Timeout)`` holds.
    """

    loop: Any
    stage: int
    known_later: bool
    task: Any
    timer: Any
    until: Any

    if not cython.compiled:
        kernel: Any
        __slots__ = places("__weakref__", "kernel", "known_later", "loop", "requests", "stage", "task", "timer", "until")

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            self = object.__new__(cls)
            self.stage = CREATED
            self.known_later = False
            self.requests = 0
            self.kernel = self.loop = self.task = self.timer = self.until = None
            return self

    def __init__(self, when: float | None) -> None:
        self.until = when

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.Timeout if type(self) is Timeout else stdlib.class_of(self, stdlib.Timeout)

    __class_getitem__: Any = classmethod(GenericAlias)

    def when(self) -> float | None:
        """The deadline in seconds of ``loop.time()``, or None."""
        return self.until

    def reschedule(self, when: float | None) -> None:
        """Move the deadline; None removes it. RuntimeError outside the block, and where the time is up."""
        if self.stage != ENTERED:
            if self.stage == CREATED:
                raise RuntimeError("Timeout has not been entered")
            raise RuntimeError(f"Cannot change state of {STAGES[self.stage]} Timeout")
        self.until = when
        self.arm(get_running_loop())

    def arm(self, loop: Any) -> int:
        if self.timer is not None:
            clear_deadline(self.timer)
            self.timer = None
        if self.until is not None:
            self.timer = set_deadline(loop, self.until, self, self.known_later)
            self.known_later = False
        return 0

    def expired(self) -> bool:
        """Whether the time was up before the block was left."""
        return bool(self.stage == EXPIRING or self.stage == EXPIRED)

    def overdue(self) -> None:
        """The timer's part."""
        self.timer = None
        self.stage = EXPIRING
        ask_to_stop(self.task, "its time limit was reached")

    def _on_timeout(self) -> None:
        # Code that knows asyncio's time limits knows this name.
        self.overdue()

    @staticmethod
    def _insert_timeout_error(exc_val: BaseException) -> None:
        # And this one.
        put_in_place(exc_val)

    def __aenter__(self) -> Any:
        return entering_timeout(self)

    def enter(self) -> int:
        if self.stage != CREATED:
            raise RuntimeError("Timeout has already been entered")
        loop = get_running_loop()
        if self.loop is not loop:
            # Made elsewhere: that its time lies ahead was known of another clock.
            self.known_later = False
            self.kernel = None
        task = task_on(loop) if self.kernel is None else task_of(self.kernel)
        if task is None:
            raise RuntimeError("Timeout should be used inside a task")
        self.task = task
        self.requests = requests_of(task)
        if self.kernel is not None and self.until is not None:
            self.timer = set_on_kernel(self.kernel, self.until, self, self.known_later)
            self.known_later = False
        else:
            self.arm(loop)
        self.stage = ENTERED
        return 0

    def __aexit__(self, kind: Any, error: Any, traceback: Any) -> Any:
        self.leave(error)
        return instant(None)

    def leave(self, error: Any) -> int:
        if self.timer is not None:
            clear_deadline(self.timer)
            self.timer = None
        if self.stage == EXPIRING:
            self.stage = EXPIRED
            task = self.task
            self.task = None
            if task.uncancel() <= self.requests and error is not None:
                if isinstance(error, CancelledError):
                    try:
                        raise TimeoutError from error
                    finally:
                        error = None  # the new error's traceback holds this frame
                insert_timeout_errors(error)
        elif self.stage == ENTERED:
            self.stage = EXITED
            self.task = None
        else:
            raise RuntimeError(f"a Timeout that is {STAGES[self.stage]} cannot be left")
        return 0

    def __repr__(self) -> str:
        when = ""
        if self.stage == ENTERED:
            when = f" when={None if self.until is None else round(self.until, 3)}"
        return f"<Timeout [{STAGES[self.stage]}]{when}>"


coroutine_methods(Timeout, __aenter__=blocks.enter_timeout, __aexit__=blocks.leave_timeout)
if not cython.compiled:
    pure.take_part(Timeout, "__aenter__")


class EnteringTimeout(Instant):
    """What ``async with`` awaits first."""

    if not cython.compiled:
        __slots__ = ()

    def begin(self) -> int:
        limit = self.value
        return limit.enter()

    def may_give_way(self) -> bool:
        return True


def entering_timeout(limit: Timeout) -> EnteringTimeout:
    entering = EnteringTimeout.__new__(EnteringTimeout)
    entering.value = limit
    return entering


def insert_timeout_errors(error: BaseException) -> None:
    """The block failed with another error while it was being cancelled: in what led to that, the cancellation is shown as the time
    limit's.
    """
    put_in_place(error)
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            put_in_place(inner)


def put_in_place(error: BaseException) -> None:
    while error.__context__ is not None:
        if isinstance(error.__context__, CancelledError):
            late = TimeoutError()
            late.__context__ = late.__cause__ = error.__context__
            error.__context__ = late
            return
        error = error.__context__


def timeout(delay: float | None) -> Timeout:
    """A time limit for ``async with``: the block gets `delay` seconds, or as long as it takes where that is None.

    Raises RuntimeError where no loop runs, TypeError where `delay` is no number. The block raises TimeoutError when the time is up.
    """
    loop = get_running_loop()
    made = Timeout.__new__(Timeout)
    if delay is None:
        return made
    seconds = seconds_of(delay)
    if isinstance(loop, TaskKernel):
        kernel = loop
        made.kernel = kernel
        made.until = kernel.now() + seconds
    else:
        made.until = loop.time() + seconds
    made.loop = loop
    made.known_later = seconds > 0
    return made


def timeout_at(when: float | None) -> Timeout:
    """As `timeout`, with the time at which the limit is reached, in seconds of ``loop.time()``."""
    made = Timeout.__new__(Timeout)
    made.until = when
    return made
