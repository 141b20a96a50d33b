# cython: auto_pickle=False
"""gather: one future for the results of many awaitables.

Invariants
----------
* The outer future is done when each child is, or, unless exceptions are results, at the first failure; the other children then go on.
* A child that is plainly ours tells by its waiter slot, inside its last step: no callback, no handle. All others tell by a callback.
* The outer future is finished in the turn after that step, where asyncio's callback of that child would run: the one child that finishes
  it puts the outer future itself on the ring. The others are only counted. While a child is to tell by a callback each of them does, so
  that they are counted in the order in which they ended.
* The same awaitable given twice is one child. A coroutine that nobody but the arguments' tuple holds cannot be there twice, and is not
  looked up.
* A cancellation goes to the children; the outer future ends when they have.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import events, exceptions
from types import CoroutineType
from typing import Any

from cede.core import stdlib
from cede.core.scheduler.task_kernel import TaskKernel
from cede.core.task.future import Future
from cede.core.task.task import Task
from cede.sync.limited_coroutine import CoroutineLimiter, LimitedCoroutine
from cede.tasks.timeouts import task_on
from cede.tasks.wait import ensure_future

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import FINISHED, PENDING

CancelledError = exceptions.CancelledError
get_running_loop = events._get_running_loop

# As this version of asyncio: whether a child that is done when it is given counts at once, or tells in the next turn.
DONE_COUNTS_AT_ONCE = sys.version_info >= (3, 12)


class Gathering(Future):
    """What `gather` returns."""

    if not cython.compiled:
        __slots__ = ("awaiting_task", "by_callback", "cancel_requested", "children", "exceptions_are_results", "last", "left")

    def __init__(self, loop: Any, exceptions_are_results: bool) -> None:
        Future.__init__(self, loop=loop)
        self.children: list[Any] = []
        self.left = 0
        self.by_callback = 0
        self.last: Any = None
        self.exceptions_are_results = exceptions_are_results
        self.cancel_requested = False
        self.awaiting_task: Any = None

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.Future

    @property
    def _subject(self) -> Any:
        """It is what the task that awaits it waits for: several children at once."""
        return None if self.done() else self

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the children. False where none of them could be."""
        if self.done():
            return False
        asked = False
        for child in list(self.children):
            if child.cancel(msg=msg):
                asked = True
        if asked:
            self.cancel_requested = True
        return asked

    def watch(self, child: Any) -> int:
        """Be told when `child` is done."""
        self.left += 1
        kind = type(child)
        if kind is Task or kind is Future:
            own = child
            if own.state == PENDING and own.waiter is None and own.callbacks is None and own.loop is self.loop and own.kernel is not None:
                own.waiter = self
                return 0
        self.by_callback += 1
        child.add_done_callback(self.called_back)
        return 0

    def notice(self, future: Any) -> int:
        child = future
        if self.by_callback:
            self.by_callback += 1
            self.kernel.call_soon(self.called_back, child)
            return 0
        self.left -= 1
        if self.state != PENDING or self.last is not None:
            child.log_traceback = False
        elif self.left == 0 or not (self.exceptions_are_results or (child.state == FINISHED and child.failure is None)):
            self.last = child
            self.kernel._ready.wake(self)
        return 0

    def run_ready(self) -> int:
        child = self.last
        self.last = None
        try:
            self.count(child)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # A child of another class has code of its own, and that failed.
            if self.state == PENDING:
                self.fail(error)
        if not cython.compiled:
            child = None
            del self  # a traceback may keep this frame
        return 0

    def wakeup_callback(self) -> Any:
        """What is added to a child as its callback, where its waiter slot is not free."""
        return self.called_back

    def get_context(self) -> Any:
        """The context of that callback, which runs no code of the user's."""
        return None

    def called_back(self, child: Any) -> None:
        """The callback of a child that is not plainly ours."""
        self.by_callback -= 1
        self.child_done(child)

    def child_done(self, child: Any) -> None:
        """A child is done, and it is its turn to count."""
        self.left -= 1
        self.count(child)

    def count(self, child: Any) -> int:
        """See to what the end of `child` means, which is not among those that are left any more."""
        if self.state != PENDING:
            if not child.cancelled():
                child.exception()  # it counts as fetched
        elif not self.exceptions_are_results and (child.cancelled() or child.exception() is not None):
            self.awaiting_task = None
            self.fail(child._make_cancelled_error() if child.cancelled() else child.exception())
        elif self.left == 0 and self.last is None:
            self.end()
        return 0

    def end(self) -> int:
        """Every child is done."""
        self.awaiting_task = None
        if self.cancel_requested:
            # asyncio takes the words of the child that was named last, whichever ended last.
            self.fail(self.children[len(self.children) - 1]._make_cancelled_error())
            return 0
        results: list[Any] = []
        for child in self.children:
            if type(child) is Task:
                own = child
                if own.state == FINISHED and own.failure is None:
                    results.append(own.value)
                    continue
            results.append(result_of(child))
        self.finish(results)
        return 0


def result_of(child: Any) -> Any:
    if child.cancelled():
        message = child._cancel_message
        return CancelledError("" if message is None else message)
    error = child.exception()
    return child.result() if error is None else error


def gather(*coros_or_futures: Any, return_exceptions: bool = False, limit: int | None = None) -> Any:
    """A future for the results of several awaitables, in the order of the arguments. Coroutines become tasks.

    return_exceptions: exceptions are results like others. Without it the first one ends the wait, and the other children go on.
    limit: how many of the coroutines run at a time, None for all of them.
    """
    return gather_all(coros_or_futures, return_exceptions, limit)


def gather_all(coros_or_futures: tuple[Any, ...], return_exceptions: bool, limit: Any) -> Any:
    loop = get_running_loop()
    if not coros_or_futures:
        outer = (events.get_event_loop() if loop is None else loop).create_future()
        outer.set_result([])
        return outer
    if limit is not None:
        gate = CoroutineLimiter(limit, "gather()")
        coros_or_futures = limited(gate, coros_or_futures)
    made: dict[Any, Any] = {}
    kernel = loop if isinstance(loop, TaskKernel) and loop._task_factory is None and not loop._state else None
    children = []
    early = []
    gathering = None
    if loop is not None:
        gathering = Gathering(loop, return_exceptions)
        gathering.awaiting_task = task_on(loop)
    for each in coros_or_futures:
        if type(each) is CoroutineType and kernel is not None:
            alone = cython.compiled and only_in_tuple(each)  # type: ignore # noqa: F821
            if not alone and each in made:
                children.append(made[each])
                continue
            task = kernel.new_task(each, None, None, False) if cython.compiled else kernel.create_task(each)
            task.tells_if_destroyed = False
            if not alone:
                made[each] = task
            task.waiter = gathering
            gathering.left += 1
            children.append(task)
            continue
        if each in made:
            children.append(made[each])
            continue
        child = ensure_future(each, loop=loop)
        if loop is None:
            loop = child.get_loop()
        if gathering is None:
            gathering = Gathering(loop, return_exceptions)
        if child is not each:
            child._log_destroy_pending = False
        made[each] = child
        children.append(child)
        if DONE_COUNTS_AT_ONCE and child.done():
            gathering.left += 1
            early.append(child)
        else:
            gathering.watch(child)
    gathering.children = children
    for child in early:
        gathering.child_done(child)
    return gathering


def limited(gate: CoroutineLimiter, awaitables: tuple[Any, ...]) -> tuple[Any, ...]:
    """Each coroutine behind the gate; the same one, given twice, once."""
    behind: dict[Any, Any] = {}
    for each in awaitables:
        if each not in behind:
            behind[each] = LimitedCoroutine(gate, each) if asyncio.iscoroutine(each) else each
    return tuple(behind[each] for each in awaitables)
