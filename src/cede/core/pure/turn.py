"""The hot paths as the interpreter likes them: the turn, and how futures and tasks are made.

Calls from Python to Python are most of what a step costs. So where compiled code is cut into methods, this does the same in one
piece, for the common case; everything else goes to the methods, which say how it is done. This file and the timers' heap
(heap.py) are what the two builds do differently.

Invariants
----------
* Each place that `Future.__new__` and `Task.__new__` fill is filled here.
* The turn lets go of what it ran before anything else runs: a traceback may keep its frame (see task.py).
"""

from __future__ import annotations

from contextvars import Context
from types import CoroutineType
from typing import Any

from cede.core.pure.shims import FINISHED, PENDING, copy_context, new
from cede.core.scheduler.ports import QUEUED
from cede.core.scheduler.timers import TimerHandle
from cede.core.task.future import Future, may_go_straight
from cede.core.task.handle import Handle, creation_stack
from cede.core.task.registry import register, swap_current, unregister
from cede.core.task.task import IN_CANCELLED_SCOPE, PENDING_CANCEL, Task, failure_of_future, next_number
from cede.core.task.threadsafe_handle import ThreadSafeHandle

resume = CoroutineType.send


def create_future(kernel: Any) -> Future:
    """A pending future of this loop."""
    future = new(Future)
    future.loop = future.kernel = kernel
    future.value = future.failure = future.waiter = future.callbacks = None
    future.state = PENDING
    future.blocking = future.log_traceback = False
    if kernel._debug:
        future._source_traceback = creation_stack()
    return future


def new_waiter(kernel: Any, subject: Any) -> Future:
    """A pending future for a task to wait on, which knows what for: `subject`, until it is done."""
    future = kernel.new_future()
    future.value = subject
    return future  # type: ignore[no-any-return]


def create_task(kernel: Any, coro: Any, *, name: Any = None, context: Any = None, **options: Any) -> Any:
    """Run a coroutine, or a generator, as a task; a bare ``yield`` in a generator gives way.

    name: the task's name. context: the contextvars.Context to run in, a copy of the current one by default.
    eager_start=True: run the first step now. Other options are for the task factory, where one is set.
    Raises TypeError where `coro` is no coroutine, RuntimeError on a closed loop.
    """
    if (
        type(coro) is not CoroutineType
        or kernel._state
        or kernel._debug
        or options
        or kernel._task_factory is not None
        or (context is not None and type(context) is not Context)
    ):
        return kernel.create_any_task(coro, name=name, context=context, **options)
    if name is not None:
        name = str(name)
    task = new(Task)
    task.loop = task.kernel = kernel
    task.value = task.failure = task.waiter = task.callbacks = task.waits_for = None
    task.state = PENDING
    task.blocking = task.log_traceback = task.gives_way = False
    task.cancel_flags = task.cancels = 0
    task.plain = task.tells_if_destroyed = True
    task.coro = coro
    task.context = copy_context() if context is None else context
    if name is None:
        task.number = next_number()
    else:
        task.number = None
        task.name = name
    kernel._ready.wake(task)
    register(task)
    return task


def turn(kernel: Any) -> int:
    """Run what is ready now: the ring, posts, the driver's batch, due timers."""
    kernel.turns += 1
    ring = kernel._ready
    if kernel._inbox.pending:
        kernel._take_posts()
    timers = kernel._timers
    driver = kernel.driver
    if timers.entries:
        now = kernel.now()
        if (driver.batch or driver.signals) and kernel._place_batch(True, now):
            return 0
        timers.take_due(now, ring)
    elif (driver.batch or driver.signals) and kernel._place_batch(False, 0.0):
        return 0
    item: Any
    end = kernel.steps + len(ring)
    if kernel._order is not None:
        kernel._arrange()
    kernel._running_ready = True
    if kernel._debug or kernel.watch_steps:
        while kernel.steps < end and ring:
            kernel.run_one(ring.popleft())
        kernel._running_ready = False
        return 0
    direct = None
    begun = True
    item = None
    try:
        while ring:
            if kernel._after_step:
                kernel.end_step()
            step = kernel.steps
            if step >= end:
                break
            kernel.steps = step + 1
            # Two steps without a call, since a signal's handler runs where a call ends, and the item would be nowhere.
            begun = False
            item = ring[0]
            del ring[0]
            kind = type(item)
            if kind is Task:
                if not item.plain or item.state or item.cancel_flags:
                    item.run_ready()
                    continue
                if kernel._announced_task is not item:
                    kernel._announced_task = item  # first: the end of an interrupted run makes it good
                    swap_current(kernel, item)
                waited = item.waits_for
                if waited is not None:
                    item.waits_for = None
                    if waited.failure is not None or waited.state != FINISHED:
                        item.step(failure_of_future(waited))
                        waited = None
                        continue
                    waited = None
                try:
                    result = item.context.run(resume, item.coro, None)
                except StopIteration as stop:
                    if item.cancel_flags & PENDING_CANCEL:
                        # Cancelled by itself, or by what it called, in its last step.
                        item.cancel_flags = 0
                        item.cancel_now(item.cancel_message)
                    else:
                        item.value = stop.value
                        item.state = FINISHED
                        waiter = item.waiter
                        if waiter is not None:
                            item.waiter = None
                            if waiter.is_task:
                                ring.wake(waiter)
                            else:
                                waiter.notice(item)
                            waiter = None
                        pair = item.callbacks
                        if pair is not None:
                            if direct is None:
                                direct = may_go_straight(kernel)
                            if direct and type(pair) is tuple and callable(pair[0]) and not (kernel._inbox.pending or kernel._state):
                                # One callback, as nearly always: what `wake` and `call_soon` would do.
                                item.callbacks = None
                                handle = new(Handle)
                                handle._callback, handle._context = pair
                                handle._args = (item,)
                                handle._loop = kernel
                                handle._cancelled = False
                                handle._repr = handle._source_traceback = None
                                ring.wake(handle)
                                handle = None
                            else:
                                item.wake()
                            pair = None
                    unregister(item)
                except BaseException as error:
                    item.end_by(error.with_traceback(error.__traceback__.tb_next))  # type: ignore[union-attr]
                else:
                    if result is None:
                        if item.cancel_flags & IN_CANCELLED_SCOPE:
                            item.scope.press_ready(item)
                        ring.wake(item)
                    elif type(result) is Future or type(result) is Task:
                        if (
                            result.waiter is None
                            and result.callbacks is None
                            and result.blocking
                            and result.loop is kernel
                            and result.state == PENDING
                            and result is not item
                            and not item.cancel_flags
                        ):
                            result.blocking = False
                            item.waits_for = result
                            result.waiter = item
                        else:
                            item.park(result)
                        result = None
                    else:
                        item.park_elsewhere(result)
                        result = None
                continue
            if kernel._announced_task is not None and not item.is_task:
                swap_current(kernel, None)
                kernel._announced_task = None
            if kind is Handle or kind is TimerHandle:
                begun = True
                if not item._cancelled:
                    try:
                        item._context.run(item._callback, *item._args)
                    except BaseException as error:
                        item._failed(error)
            elif kind is ThreadSafeHandle or item is driver:
                item.run_ready()
                begun = True
            else:
                begun = not item.again
                item.run_ready()
                begun = True
        if kernel._after_step:
            kernel.end_step()
        kernel._running_ready = False
    except BaseException:
        # A signal's handler raised. What has not begun is the first of the next run.
        if not begun and not has_gone_on(item, ring, driver):
            ring.wake_first(item)
        raise
    finally:
        item = result = waited = waiter = pair = handle = None
    return 0


def has_gone_on(item: Any, ring: Any, driver: Any) -> bool:
    """Whether what was taken off the ring has had its step: a task is done, waits, or is on the ring again; the driver tells its batch."""
    if isinstance(item, Task):
        waited: Any = item.waits_for
        return item.state != PENDING or (waited is not None and not waited.done()) or item in ring
    if item is driver:
        return bool(driver.batch != QUEUED)
    return bool(getattr(item, "begun", False))
