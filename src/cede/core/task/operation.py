"""What ``await reader.read()`` awaits: an operation, which is a coroutine object without a frame.

An operation does nothing until a task drives it. It then either completes at once, without giving way, or parks: it yields a
future to the task, and tries again when the task resumes it. Like a coroutine it runs once, accepts `throw` and `close`, and warns if
nobody ever awaited it.

Invariants
----------
* An operation is fresh, parked or over. While `step` runs it counts as over, so an error that leaves `step` needs no handler.
* It takes nothing out of its resource before the step in which it completes: if it is dropped, cancelled or closed, nothing is lost.
"""

from __future__ import annotations

import warnings
from collections.abc import Coroutine
from typing import Any

from cede.core.scheduler.task_kernel import TaskKernel
from cede.core.task.coroutines import nothing
from cede.core.task.future import Future

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import FINISHED, PENDING
    from cede.core.scheduler.coop import fair_here, fair_iterator
    from cede.core.task.awaitable import ENDED, FAILED, SUSPENDED

    FRESH = 0
    PARKED = 1
    OVER = 2

# What an operation is called in a task's repr and in warnings: the method that made it.
NAMES = {
    "Read": "StreamReader.read",
    "ReadExactly": "StreamReader.readexactly",
    "ReadUntil": "StreamReader.readuntil",
    "ReadLine": "StreamReader.readline",
    "NextLine": "StreamReader.__anext__",
    "WaitForData": "StreamReader._wait_for_data",
    "Drain": "StreamWriter.drain",
    "WaitClosed": "StreamWriter.wait_closed",
    "Sleep": "sleep",
}


@cython.freelist(256)
@cython.trashcan(True)
@cython.cclass
class StreamOperation:
    """An operation that may wait several times, on futures of its own. Subclasses add methods, never fields: all have one size.

    `ahead` and `behind` are its neighbours in a wait queue (``sync/parking_lot``).

    It follows the contract of ``cede.core.task.awaitable.Operation``, but derives from nothing: only the base class of a family can keep
    a free list, and each message makes and drops an operation.
    """

    if not cython.compiled:
        stage = FRESH
        number = 0
        mark = 0
        owner: Any = None
        argument: Any = None
        waiter: Any = None
        value: Any = None
        ahead: Any = None
        behind: Any = None

    def step(self) -> int:
        """End (set `value`, return ENDED), or `park` (return its answer), or raise."""
        raise NotImplementedError

    def release(self) -> int:
        """Called on cancellation or close of a parked operation. Remove `waiter` from the wait queue of the resource."""
        return 0

    def may_give_way(self) -> bool:
        """Whether a fair loop may give way before the operation begins."""
        return self.stage == FRESH

    def advance(self) -> int:
        if self.stage == OVER:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self.stage = OVER
        return self.step()

    def park(self, waiter: Any) -> int:
        """Wait on `waiter`; if that is None, give way for one turn."""
        self.stage = PARKED
        self.waiter = waiter
        self.value = waiter
        if type(waiter) is Future:
            future = waiter
            future.blocking = True
        elif waiter is not None:
            waiter._asyncio_future_blocking = True
        return SUSPENDED

    def settle(self) -> int:
        """Call this after a resumption: drop the waiter, and raise its exception if it has one."""
        waiter = self.waiter
        if waiter is None:
            return 0
        if type(waiter) is Future:
            future = waiter
            if future.state == FINISHED and future.failure is None:
                self.waiter = None
                return 0
        if not waiter.done():
            self.release()
            raise RuntimeError("await wasn't used with future")
        self.waiter = None
        waiter.result()
        return 0

    def abandon(self) -> int:
        parked = self.stage == PARKED
        self.stage = OVER
        if parked:
            self.release()
            self.waiter = None
        return 0

    if cython.compiled:

        def __await__(self) -> Any:
            return self

    else:
        # The same as in awaitable.py.
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
        # Compiled, the type has the slot of awaitable.h, and this body serves explicit calls only.
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
        """Resume the operation, as ``coroutine.send`` does."""
        if value is not None and self.stage == FRESH:
            raise TypeError("can't send non-None value to a just-started coroutine")
        return self.__next__()

    def throw(self, *args: Any) -> Any:
        """End the operation with an exception, as ``coroutine.throw`` does."""
        if self.stage == OVER:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self.abandon()
        try:
            return nothing().throw(*args)
        finally:
            args = ()  # the error's traceback holds this frame

    def close(self) -> None:
        """End the operation without a result, as ``coroutine.close`` does."""
        self.abandon()

    @property
    def cr_await(self) -> Any:
        """The future that the operation waits on, or None."""
        return self.waiter

    @property
    def cr_running(self) -> bool:
        """Always False: an operation runs no code of the user's."""
        return False

    def __getattr__(self, name: str) -> Any:
        # A compiled class cannot have a property of this name. asyncio reads it to show a task's coroutine.
        if name in ("__name__", "__qualname__"):
            return name_of(type(self).__name__)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        state = "fresh" if self.stage == FRESH else "waiting" if self.stage == PARKED else "over"
        return f"<coroutine {name_of(type(self).__name__)}() {state} at {id(self):#x}>"

    def __dealloc__(self) -> None:
        if self.stage == FRESH and not (self.owner is None and self.argument is None):  # `begin` has not been called on this one
            warn_never_awaited(type(self).__name__)


if not cython.compiled:
    StreamOperation.__del__ = StreamOperation.__dealloc__  # type: ignore[attr-defined]


Coroutine.register(StreamOperation)


def advance_of(operation: StreamOperation) -> int:
    return operation.advance()


def value_of(operation: StreamOperation) -> Any:
    value = operation.value
    operation.value = None
    return value


def gives_way(operation: StreamOperation) -> bool:
    return operation.may_give_way()


if cython.compiled:
    install_iternext(  # type: ignore # noqa: F821
        StreamOperation, cython.cast("void *", advance_of), cython.cast("void *", value_of), cython.cast("void *", gives_way), door()  # type: ignore # noqa: F821
    )
else:
    fair_here(StreamOperation, "__await__", fair_iterator)


def begin(operation: StreamOperation, owner: Any, argument: Any) -> Any:
    """Set up `operation`, new or reused, with its resource and its argument."""
    operation.stage = FRESH
    operation.owner = owner
    operation.argument = argument
    return operation


def name_of(kind: str) -> str:
    return NAMES.get(kind, kind)


def warn_never_awaited(kind: str) -> None:
    """Warn of a forgotten ``await``, as asyncio's coroutines do."""
    warnings.warn(f"coroutine '{name_of(kind)}' was never awaited", RuntimeWarning, stacklevel=2)


def new_waiter(loop: Any, subject: Any) -> Any:
    """A pending future of `loop` to wait on. If `loop` is a cede loop, the future has the subject (`TaskKernel.new_waiter`)."""
    if isinstance(loop, TaskKernel):
        spawner = loop
        return spawner.waiter_for(subject)
    return loop.create_future()


def wake(waiter: Any, error: BaseException | None) -> int:
    """Finish `waiter`, unless it is done or cancelled already."""
    if type(waiter) is Future and error is None:
        future = waiter
        if future.state == PENDING:
            future.finish(None)
    elif not waiter.done():
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
    return 0
