"""wait, as_completed, shield, ensure_future: waiting for futures that others drive. Not compiled: they are few, and have frames to be seen.

Invariants
----------
* Whoever stops waiting takes its callbacks back: a future that lives on keeps nothing of those who once waited for it.
* What is waited for learns which task waits (`awaiting_task`), so that a call graph can tell.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import weakref
from asyncio import events
from collections import deque
from collections.abc import Awaitable, Iterable
from typing import Any

from cede.core.task.operation import new_waiter
from cede.sync.limited_coroutine import CoroutineLimiter

FIRST_COMPLETED = asyncio.FIRST_COMPLETED
FIRST_EXCEPTION = asyncio.FIRST_EXCEPTION
ALL_COMPLETED = asyncio.ALL_COMPLETED


async def as_coroutine(awaitable: Awaitable[Any]) -> Any:
    """An awaitable of any kind as a coroutine."""
    return await awaitable


def ensure_future(coro_or_future: Any, *, loop: Any = None) -> Any:
    """A future as it is; a coroutine, or another awaitable, as a task of `loop`, by default of the running one.

    Raises TypeError for what cannot be awaited, ValueError for a future of another loop than the given one.
    """
    if asyncio.isfuture(coro_or_future):
        if loop is not None and loop is not coro_or_future.get_loop():
            raise ValueError("The future belongs to a different loop than the one specified as the loop argument")
        return coro_or_future
    coro = coro_or_future
    if not asyncio.iscoroutine(coro):
        if not inspect.isawaitable(coro):
            raise TypeError(f"An asyncio.Future, a coroutine or an awaitable is required, got {coro!r}")
        coro = as_coroutine(coro)
    try:
        return (events.get_event_loop() if loop is None else loop).create_task(coro)
    except RuntimeError:
        coro.close()
        raise


class Wait:
    """Waits for some of several futures."""

    def __init__(self, futures: dict[Any, None], return_when: str, loop: Any) -> None:
        self.left = len(futures)
        self.return_when = return_when
        self.waiter = new_waiter(loop, self)
        self.awaiting_task = asyncio.current_task()

    def one_done(self, future: Any) -> None:
        self.left -= 1
        enough = (
            self.left <= 0
            or self.return_when == FIRST_COMPLETED
            or (self.return_when == FIRST_EXCEPTION and not future.cancelled() and future.exception() is not None)
        )
        if enough:
            self.enough()

    def enough(self) -> None:
        if not self.waiter.done():
            self.waiter.set_result(None)


async def wait(fs: Any, *, timeout: float | None = None, return_when: str = ALL_COMPLETED) -> tuple[set[Any], set[Any]]:
    """Wait for futures: until all are done, or, by `return_when`, the first is, or the first that failed. Returns two sets, done and
    pending.

    After `timeout` seconds it returns what there is. Raises TypeError for coroutines, which are to be made tasks first, and ValueError for
    an empty set or an unknown `return_when`.
    """
    if asyncio.isfuture(fs) or asyncio.iscoroutine(fs):
        raise TypeError(f"expect a list of futures, not {type(fs).__name__}")
    if not fs:
        raise ValueError("Set of Tasks/Futures is empty.")
    if return_when not in (FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED):
        raise ValueError(f"Invalid return_when value: {return_when}")
    futures = dict.fromkeys(fs)  # in the order of the caller
    if any(asyncio.iscoroutine(each) for each in futures):
        raise TypeError("Passing coroutines is forbidden, use tasks explicitly.")
    loop = events.get_running_loop()
    waiting = Wait(futures, return_when, loop)
    timer = None if timeout is None else loop.call_later(timeout, waiting.enough)
    for future in futures:
        future.add_done_callback(waiting.one_done)
    try:
        await waiting.waiter
    finally:
        if timer is not None:
            timer.cancel()
        for future in futures:
            future.remove_done_callback(waiting.one_done)
    done = {future for future in futures if future.done()}
    return done, {future for future in futures if future not in done}


async def cancel_and_wait(future: Any) -> None:
    """Cancel a future and wait until it is done, whatever becomes of it."""
    loop = events.get_running_loop()
    waiting = Wait({future: None}, ALL_COMPLETED, loop)
    future.add_done_callback(waiting.one_done)
    try:
        future.cancel()
        await waiting.waiter  # and not for the future itself, which could not be told from a cancellation of this wait
    finally:
        future.remove_done_callback(waiting.one_done)


class AsCompleted:
    """Futures in the order in which they are done: an asynchronous iterator of them, and a plain iterator of coroutines for their
    results.
    """

    def __init__(self, aws: Iterable[Any], timeout: float | None) -> None:
        self.loop = events.get_event_loop()
        self.awaiting_task = asyncio.current_task() if events._get_running_loop() is not None else None
        self.ready: deque[Any] = deque()
        self.waiters: deque[Any] = deque()
        self.timer: Any = None
        self.late = False
        self.pending: dict[Any, None] = {}
        self.left = self.take(aws)
        if self.left and timeout is not None:
            self.timer = self.loop.call_later(timeout, self.time_is_up)

    def take(self, aws: Iterable[Any]) -> int:
        """Begin to wait for them. Returns how many there are."""
        self.pending = dict.fromkeys(ensure_future(each, loop=self.loop) for each in dict.fromkeys(aws))
        for future in self.pending:
            future.add_done_callback(self.one_done)
        return len(self.pending)

    def let_go(self) -> None:
        """Hear of nobody any more."""
        for future in self.pending:
            future.remove_done_callback(self.one_done)
        self.pending.clear()

    def __aiter__(self) -> AsCompleted:
        return self

    def __iter__(self) -> AsCompleted:
        return self

    async def __anext__(self) -> Any:
        if self.left <= 0:
            raise StopAsyncIteration
        self.left -= 1
        return await self.next_done()

    def __next__(self) -> Any:
        if self.left <= 0:
            raise StopIteration
        self.left -= 1
        return self.next_result()

    async def next_result(self) -> Any:
        return (await self.next_done()).result()

    async def next_done(self) -> Any:
        while not self.ready:
            if self.late:
                raise TimeoutError
            waiter = new_waiter(self.loop, self)
            self.waiters.append(waiter)
            try:
                await waiter
            except BaseException:
                if waiter in self.waiters:
                    self.waiters.remove(waiter)
                elif self.ready:
                    self.wake()  # it was told of a future that somebody else can have
                raise
        return self.ready.popleft()

    def one_done(self, future: Any) -> None:
        if self.late:
            return
        self.pending.pop(future, None)
        self.ready.append(future)
        self.wake()
        if not self.pending and self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def time_is_up(self) -> None:
        self.late = True
        self.timer = None  # it knows this object
        self.let_go()
        while self.waiters:
            self.wake()

    def wake(self) -> None:
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class AsCompletedInTurn(AsCompleted):
    """At most `limit` of what is passed and is no future yet are tasks at a time, in order; the others become tasks as these end.

    What has not begun is closed when nobody can read its result any more: when this object is dropped, when its time is up, or when its
    tasks are cancelled together with the one that made it, as at the end of a loop. So its futures know it by a weak reference.
    """

    def __init__(self, aws: Iterable[Any], timeout: float | None, limit: int) -> None:
        self.unbegun: deque[Any] = deque()
        self.begun: dict[Any, None] = {}
        CoroutineLimiter(limit, "as_completed()")  # says what is wrong with it
        self.limit = limit
        self.listener = functools.partial(tell_weakly, weakref.ref(self))
        super().__init__(aws, timeout)

    def take(self, aws: Iterable[Any]) -> int:
        for each in dict.fromkeys(aws):
            if asyncio.isfuture(each):
                self.pending[ensure_future(each, loop=self.loop)] = None
            elif asyncio.iscoroutine(each) or inspect.isawaitable(each):
                self.unbegun.append(each)
            else:
                raise TypeError(f"An asyncio.Future, a coroutine or an awaitable is required, got {each!r}")
        for future in self.pending:
            future.add_done_callback(self.listener)
        count = len(self.pending) + len(self.unbegun)
        self.begin()
        return count

    def begin(self) -> None:
        """Have as many at work as there may be."""
        while self.unbegun and len(self.begun) < self.limit:
            task = ensure_future(self.unbegun.popleft(), loop=self.loop)
            self.begun[task] = self.pending[task] = None
            task.add_done_callback(self.listener)

    def one_done(self, future: Any) -> None:
        if future in self.begun:
            del self.begun[future]
            maker = self.awaiting_task
            if future.cancelled() and future.cancelling() and (maker is None or maker.done() or maker.cancelling()):
                self.give_up()
            else:
                self.begin()
        super().one_done(future)

    def give_up(self) -> None:
        """The others are not begun: whoever reads them hears that they were cancelled."""
        while self.unbegun:
            close(self.unbegun.popleft())
            never = self.loop.create_future()
            never.cancel()
            self.ready.append(never)
            self.wake()

    def let_go(self) -> None:
        for future in self.pending:
            future.remove_done_callback(self.listener)
        self.pending.clear()
        self.close_unbegun()

    def close_unbegun(self) -> None:
        while self.unbegun:
            close(self.unbegun.popleft())

    def __del__(self) -> None:
        self.close_unbegun()


def tell_weakly(listener: weakref.ref[AsCompleted], future: Any) -> None:
    here = listener()
    if here is not None:
        here.one_done(future)


def close(awaitable: Any) -> None:
    """So that nobody is told that it was never awaited."""
    if asyncio.iscoroutine(awaitable):
        awaitable.close()


def as_completed(fs: Iterable[Any], *, timeout: float | None = None, limit: int | None = None) -> AsCompleted:
    """Iterate over awaitables as they are done.

    ``async for future in as_completed(...)`` gives the futures, those that were passed and tasks for the others; ``for coro in
    as_completed(...)`` gives coroutines, each of which returns or raises the next result. After `timeout` seconds TimeoutError is raised
    there. `limit`: at most so many of the coroutines are tasks at a time, in order; those that have not begun when nobody can read
    their results any more, or the time is up, never begin. Raises TypeError where `fs` is itself awaitable.
    """
    if inspect.isawaitable(fs):
        raise TypeError(f"expects an iterable of awaitables, not {type(fs).__name__}")
    return AsCompleted(fs, timeout) if limit is None else AsCompletedInTurn(fs, timeout, limit)


class Shield:
    """Passes on what becomes of `inner`, but no cancellation to it."""

    def __init__(self, inner: Any) -> None:
        loop = inner.get_loop()
        self.inner = inner
        self.outer = new_waiter(loop, self)
        self.awaiting_task = asyncio.current_task(loop) if loop.is_running() and events._get_running_loop() is loop else None
        inner.add_done_callback(self.inner_done)
        self.outer.add_done_callback(self.outer_done)

    def inner_done(self, inner: Any) -> None:
        outer = self.outer
        if outer.done():
            return
        if inner.cancelled():
            outer.cancel()
        elif inner.exception() is not None:
            outer.set_exception(inner.exception())
        else:
            outer.set_result(inner.result())

    def outer_done(self, outer: Any) -> None:
        self.awaiting_task = None
        if not self.inner.done():
            self.inner.remove_done_callback(self.inner_done)
            self.inner.remove_done_callback(report_shielded)
            self.inner.add_done_callback(report_shielded)


def report_shielded(inner: Any) -> None:
    """Nobody waits any more for what was shielded: its failure is told to the loop's exception handler."""
    if inner.cancelled():
        return
    error = inner.exception()
    if error is None:
        return
    context = {"message": f"{type(error).__name__} exception in shielded future", "exception": error, "future": inner}
    trace = getattr(inner, "_source_traceback", None)
    if trace:
        context["source_traceback"] = trace
    inner.get_loop().call_exception_handler(context)


def shield(arg: Any) -> Any:
    """Wait for an awaitable that is not cancelled where the wait is.

    A failure that comes after that is reported to the loop's exception handler. Keep a reference to a task that must not be lost.
    """
    inner = ensure_future(arg)
    return inner if inner.done() else Shield(inner).outer
