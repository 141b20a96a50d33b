# cython: auto_pickle=False
"""wait_for: one awaitable, with a time limit.

The awaitable runs in the task that waits for it. Compiled, it is driven without a coroutine of ours in between, and a timer is set only
when it waits for something: one that is ready costs neither.

Invariants
----------
* The time runs from the first step.
* A limit that is reached asks the task to stop once, and takes that back at the end: as in timeouts.py. It does not ask where the awaitable
  is a future that has its result already: a result that is there is never thrown away.
* Sent, thrown and closed is what stands underneath; what that yields is yielded.
* While what stands underneath runs, none of these is done to it: user code runs there, and may hold this object.
"""

from __future__ import annotations

import asyncio
import inspect
from asyncio import events, exceptions
from collections.abc import Awaitable, Coroutine
from types import CoroutineType
from typing import Any

from cede.core.scheduler.task_kernel import TaskKernel
from cede.core.task.coroutine_methods import coroutine_function
from cede.core.task.future import Future
from cede.tasks import wait_for_pure
from cede.tasks.deadline import clear_deadline, set_deadline
from cede.tasks.timeouts import ask_to_stop, insert_timeout_errors, requests_of, task_on

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

CancelledError = exceptions.CancelledError
get_running_loop = events.get_running_loop

NAME = "wait_for"


@cython.freelist(64)
@cython.trashcan(True)
@cython.cclass
class WaitFor:
    """What a compiled ``wait_for(awaitable, timeout)`` returns: a coroutine but for its frame."""

    stage: int
    outcome: int
    limited: bool
    reached: bool
    seconds: float
    until: float
    awaitable: Any
    inner: Any
    future: Any
    loop: Any
    task: Any
    timer: Any
    value: Any

    if cython.compiled:

        def advance(self) -> int:
            if self.stage == OVER:  # type: ignore # noqa: F821
                raise RuntimeError("cannot reuse already awaited coroutine")
            if self.stage == RUNNING:  # type: ignore # noqa: F821
                raise ValueError("coroutine already executing")
            if self.stage == FRESH:  # type: ignore # noqa: F821
                self.stage = OVER  # type: ignore # noqa: F821
                self.start()
            self.stage = RUNNING  # type: ignore # noqa: F821
            return self.go_on(send_to(self.inner, None, cython.address(self.outcome)))  # type: ignore # noqa: F821

        def start(self) -> int:
            """Find out what is to be driven, and until when."""
            loop = get_running_loop()
            awaitable = self.awaitable
            self.awaitable = None
            if self.limited and self.seconds <= 0:
                awaitable = wait_for_pure.at_once(awaitable)
                self.limited = False
            if self.limited:
                self.task = task_on(loop)
                if self.task is None:
                    close_if_coroutine(awaitable)
                    raise RuntimeError("wait_for() should be used inside a task")
                self.requests = requests_of(self.task)
                self.loop = loop
                if isinstance(loop, TaskKernel):
                    kernel = loop
                    self.until = kernel.now() + self.seconds
                else:
                    self.until = loop.time() + self.seconds
            if type(awaitable) is CoroutineType:
                self.inner = awaitable
            elif isinstance(awaitable, Awaitable) or inspect.isawaitable(awaitable):
                if asyncio.isfuture(awaitable):
                    self.future = awaitable
                self.inner = iterator_of(awaitable)
            else:
                raise TypeError(f"wait_for(): a coroutine, a future or another awaitable was expected, got {awaitable!r}")
            return 0

        def go_on(self, result: Any) -> int:
            if self.outcome == YIELDED:  # type: ignore # noqa: F821
                self.stage = PARKED  # type: ignore # noqa: F821
                if self.limited and self.timer is None and not self.reached:
                    # Among the timers also where the step was so long that it lies behind by now: it runs after what was ready before.
                    self.timer = set_deadline(self.loop, self.until, self, True)
                self.value = result
                return SUSPENDED  # type: ignore # noqa: F821
            self.stage = OVER  # type: ignore # noqa: F821
            self.inner = None
            self.future = None
            if self.timer is not None:
                clear_deadline(self.timer)
                self.timer = None
            task = self.task
            self.task = None
            self.value = result
            ended = ENDED if self.outcome == RETURNED else FAILED  # type: ignore # noqa: F821
            if self.reached:
                nobody_else = task.uncancel() <= self.requests
                if nobody_else and ended == FAILED:  # type: ignore # noqa: F821
                    if isinstance(result, CancelledError):
                        late = TimeoutError()
                        late.__cause__ = late.__context__ = result
                        self.value = late
                    else:
                        insert_timeout_errors(result)
            return ended

        def overdue(self) -> None:
            """The timer's part."""
            self.timer = None
            if self.future is not None and self.future.done():
                self.limited = False  # its result is on its way
                return
            self.reached = True
            ask_to_stop(self.task, "the time limit of wait_for was reached")

        def __await__(self) -> Any:
            return self

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            # The type's slot is the one in awaitable.h, and this body serves only explicit calls.
            return self.answer(self.advance())

        def answer(self, outcome: int) -> Any:
            value = self.value
            self.value = None
            if outcome == SUSPENDED:  # type: ignore # noqa: F821
                return value
            if outcome == FAILED:  # type: ignore # noqa: F821
                raise value
            if value is None:
                raise StopIteration
            raise StopIteration(value)

        def send(self, value: Any) -> Any:
            """As a coroutine's."""
            if value is None:
                return self.__next__()
            if self.stage == RUNNING:  # type: ignore # noqa: F821
                raise ValueError("coroutine already executing")
            if self.stage != PARKED:  # type: ignore # noqa: F821
                raise TypeError("can't send non-None value to a just-started coroutine")
            self.stage = RUNNING  # type: ignore # noqa: F821
            return self.answer(self.go_on(send_to(self.inner, value, cython.address(self.outcome))))  # type: ignore # noqa: F821

        def throw(self, *args: Any) -> Any:
            """As a coroutine's."""
            if self.stage == OVER:  # type: ignore # noqa: F821
                raise RuntimeError("cannot reuse already awaited coroutine")
            if self.stage == RUNNING:  # type: ignore # noqa: F821
                raise ValueError("coroutine already executing")
            if self.stage == FRESH:  # type: ignore # noqa: F821
                self.close()
                return wait_for_pure.nothing().throw(*args)
            self.stage = RUNNING  # type: ignore # noqa: F821
            try:
                result = wait_for_pure.throw_into(self.inner, args)
                self.outcome = YIELDED  # type: ignore # noqa: F821
            except StopIteration as stop:
                self.outcome = RETURNED  # type: ignore # noqa: F821
                result = stop.value
            except BaseException as error:
                self.outcome = RAISED  # type: ignore # noqa: F821
                result = error
            return self.answer(self.go_on(result))

        def close(self) -> None:
            """As a coroutine's."""
            if self.stage == RUNNING:  # type: ignore # noqa: F821
                raise ValueError("coroutine already executing")
            fresh = self.stage == FRESH  # type: ignore # noqa: F821
            self.stage = OVER  # type: ignore # noqa: F821
            if self.timer is not None:
                clear_deadline(self.timer)
                self.timer = None
            if self.reached and self.task is not None:
                self.task.uncancel()
            awaited = self.awaitable if fresh else self.inner
            self.awaitable = self.inner = self.task = self.future = None
            close_if_coroutine(awaited)

        @property
        def cr_await(self) -> Any:
            """What it waits for: that of the coroutine which it drives."""
            driven = innermost(self)
            return getattr(driven.inner, "cr_await", driven.future)

        @property
        def cr_frame(self) -> Any:
            """The frame of the coroutine that it drives, or None."""
            return getattr(innermost(self).inner, "cr_frame", None)

        @property
        def cr_running(self) -> bool:
            """Whether it runs now."""
            return self.stage == RUNNING  # type: ignore # noqa: F821,no-any-return

        def __getattr__(self, name: str) -> Any:
            # Properties of these names cannot be had in a compiled class.
            if name in ("__name__", "__qualname__"):
                return NAME
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        def __repr__(self) -> str:
            return f"<coroutine wait_for({self.awaitable if self.inner is None else self.inner!r}) at {id(self):#x}>"

        def __dealloc__(self) -> None:
            if self.stage == FRESH and self.awaitable is not None:  # type: ignore # noqa: F821
                wait_for_pure.warn_never_awaited()


def innermost(made: WaitFor) -> WaitFor:
    """The one that drives no other of this kind, where one wait_for was given to the next: a chain of any length."""
    while type(made.inner) is WaitFor:
        made = made.inner
    return made


def close_if_coroutine(thing: Any) -> None:
    close = getattr(thing, "close", None)
    if close is not None and asyncio.iscoroutine(thing):
        close()


def iterator_of(awaitable: Any) -> Any:
    if type(awaitable) is Future:
        return awaitable.__await__()
    return wait_for_pure.iterator_of(awaitable)


def wait_for(fut: Any, timeout: float | None) -> Coroutine[Any, Any, Any]:
    """The result of an awaitable, within `timeout` seconds; None for as long as it takes.

    When the time is up the awaitable is cancelled, and TimeoutError raised once it has ended; what it returns all the same is returned.
    With a timeout of 0 or less it is not begun, and its result is returned only where it is there. Cancelled, the wait passes that on.
    """
    return begin_waiting(fut, timeout)  # type: ignore[no-any-return]


def begin_waiting(awaitable: Any, timeout: float | None) -> Any:
    made = WaitFor.__new__(WaitFor)
    if timeout is not None:
        made.seconds = timeout
        made.limited = True
    made.awaitable = awaitable
    return made


wait_for = coroutine_function(wait_for, wait_for_pure.wait_for)


def advance_of(made: WaitFor) -> int:
    return made.advance()  # type: ignore[attr-defined,no-any-return]


def value_of(made: WaitFor) -> Any:
    value = made.value  # type: ignore[attr-defined]
    made.value = None  # type: ignore[attr-defined]
    return value


def gives_way(made: WaitFor) -> bool:
    """Only before a coroutine: where that is closed it has never begun, but a future would have to hear of a cancellation."""
    return made.stage == FRESH and type(made.awaitable) is CoroutineType  # type: ignore # noqa: F821


if cython.compiled:
    Coroutine.register(WaitFor)
    install_iternext(  # type: ignore # noqa: F821
        WaitFor, cython.cast("void *", advance_of), cython.cast("void *", value_of), cython.cast("void *", gives_way), door()  # type: ignore # noqa: F821
    )
