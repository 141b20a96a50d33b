"""Waiting as the interpreter likes it: coroutines, which do what the operations of the compiled build do.

An operation that is interpreted itself would cost several times what a coroutine costs. The invariants are those that stand at the
heads of lock.py, event.py, semaphore.py, condition.py and queue.py.
"""

from __future__ import annotations

import functools
from asyncio import CancelledError
from collections.abc import Callable
from typing import Any, TypeVar

from cede.core.scheduler import coop
from cede.core.task.coroutines import one_turn
from cede.core.task.operation import new_waiter
from cede.sync.errors import QueueEmpty, QueueFull, QueueShutDown

# What is no item.
NOTHING: Any = object()

F = TypeVar("F", bound=Callable[..., Any])


def named(name: str) -> Callable[[F], F]:
    """A coroutine is called by its method in warnings and in a task's text."""

    def rename(function: F) -> F:
        function.__qualname__ = name
        function.__name__ = name.rpartition(".")[2]
        return function

    return rename


def fairly(method: Callable[..., Any]) -> Callable[..., Any]:
    """The same method while a loop is fair."""

    @functools.wraps(method)
    async def fair(*args: Any) -> Any:
        if coop.budget_exhausted():
            coop.record_forced_yield()
            await one_turn()
        try:
            return await method(*args)
        finally:
            coop.record_await()

    return fair


def take_part(owner: type, *names: str) -> None:
    """On fair loops these coroutine methods of `owner` count."""
    for name in names:
        coop.fair_here(owner, name, fairly)


@named("Lock.acquire")
async def acquire_lock(self: Any) -> bool:
    """Wait until the lock is free and take it; the result is True."""
    line = self.waiting
    if self._locked or (line and not line.nobody_waits()):
        line = self.line()
        waiter = self.new_waiter()
        line.add_bare(waiter)
        try:
            await waiter
        except BaseException:
            line.discard(waiter)
            self.hand_on()
            raise
        line.discard(waiter)
    self._locked = True
    return True


@named("Semaphore.acquire")
async def acquire_semaphore(self: Any) -> bool:
    """Wait for a permit and take it; the result is True."""
    line = self.waiting
    if self._value and not (line and not line.nobody_waits()):
        self._value -= 1
        return True
    line = self.line()
    waiter = self.new_waiter()
    line.add_bare(waiter)
    try:
        await waiter
    except BaseException:
        line.discard(waiter)
        if waiter.done() and not waiter.cancelled():
            self._value += 1
        self.hand_out()
        raise
    line.discard(waiter)
    if self._value:
        self.hand_out()
    return True


@named("Event.wait")
async def wait_for_event(self: Any) -> bool:
    """Wait until the flag is up; at once where it is. The result is True."""
    if not self._value:
        line = self.line()
        waiter = self.new_waiter()
        line.add_bare(waiter)
        try:
            await waiter
        finally:
            line.discard(waiter)
    return True


@named("Condition.wait")
async def wait_for_notification(self: Any) -> bool:
    """Let the lock go, wait to be notified, and take the lock again; the result is True.

    Look again at what was waited for: another task may have been quicker. RuntimeError where the lock is not held.
    """
    if not self.locked():
        raise RuntimeError("cannot wait on un-acquired lock")
    line = self._waiters
    waiter = new_waiter(self._get_loop(), self)
    self.release()
    line.add_bare(waiter)
    failure: BaseException | None = None
    try:
        try:
            await waiter
        except BaseException as error:
            failure = error
        line.discard(waiter)
        notified = waiter.done() and not waiter.cancelled()
        while True:
            try:
                await self.acquire()
                break
            except CancelledError as error:
                failure = error
            except BaseException:
                if notified:
                    self._notify(1)
                raise
        if failure is not None:
            if notified:
                self._notify(1)
            raise failure
        return True
    finally:
        failure = None  # it holds this frame


@named("Queue.put")
async def put_in_queue(self: Any, item: Any) -> None:
    """Put `item` into the queue, as soon as there is room and all who came before have put theirs.

    Raises QueueShutDown where the queue was shut down, also while this waits.
    """
    line = self.putters
    if line or self.full():
        if self._is_shutdown:
            raise QueueShutDown
        waiter = self.new_waiter()
        line.add_bare(waiter)
        try:
            await waiter
            while self.full() and not self._is_shutdown:
                again = self.new_waiter()
                line.replace(waiter, again)
                waiter = again
                await waiter
        except BaseException:
            line.discard(waiter)
            self.pass_on_room()
            raise
        line.discard(waiter)
        try:
            self.put_nowait(item)
        finally:
            if line:
                self.pass_on_room()
        return
    self.put_nowait(item)


@named("Queue.get")
async def get_from_queue(self: Any) -> Any:
    """Take an item out of the queue, as soon as there is one and all who came before have theirs.

    Raises QueueShutDown where the queue was shut down and is empty, also while this waits.
    """
    line = self.getters
    if (line and not self._is_shutdown) or self.empty():
        if self._is_shutdown:
            raise QueueShutDown
        waiter = self.new_waiter()
        line.add_bare(waiter)
        try:
            await waiter
            while self.empty() and not self._is_shutdown:
                again = self.new_waiter()
                line.replace(waiter, again)
                waiter = again
                await waiter
        except BaseException:
            line.discard(waiter)
            self.pass_on_items()
            raise
        line.discard(waiter)
        try:
            return self.get_nowait()
        finally:
            if line:
                self.pass_on_items()
    return self.get_nowait()


@named("Queue.join")
async def join_queue(self: Any) -> None:
    """Wait until `task_done` was called for each item that was put."""
    if self._unfinished_tasks > 0:
        await self._finished.wait()


def put_now(self: Any, item: Any) -> None:
    """Put `item` into the queue now. Raises QueueFull where there is no room, QueueShutDown where the queue was shut down."""
    if self._is_shutdown:
        raise QueueShutDown
    if self.full():
        raise QueueFull
    self._put(item)
    self._unfinished_tasks += 1
    self._finished._value = False
    if self.getters:
        self._wakeup_next(self.getters)


def get_now(self: Any) -> Any:
    """Take an item now. Raises QueueEmpty where there is none, QueueShutDown where there is none and the queue was shut down."""
    if self.empty():
        raise QueueShutDown if self._is_shutdown else QueueEmpty
    item = self._get()
    if self.putters:
        self._wakeup_next(self.putters)
    return item


def release_lock(self: Any) -> None:
    """Let the lock go: the first who waits gets it. RuntimeError where nobody holds it."""
    if not self._locked:
        raise RuntimeError("Lock is not acquired.")
    self._locked = False
    if self.waiting:
        self.waiting.wake_first()


@named("Sender.send")
async def send(self: Any, item: Any) -> None:
    """Send `item`, as soon as there is room and all who came before have sent theirs.

    Raises BrokenResourceError where no receiver is left, ClosedResourceError where this sender was closed, also while this waits.
    """
    channel = self.channel
    if self.closed or channel.senders or not channel.open_receivers or len(channel.buffer) >= channel.bound:
        await self.slow_send(item)
        return
    channel.buffer.append(item)
    if channel.receivers:
        channel.receivers.wake_next()


@named("Receiver.receive")
async def receive(self: Any) -> Any:
    """The next item, as soon as there is one and all who came before have theirs.

    Raises EndOfChannel where there is none and no sender is left, ClosedResourceError where this receiver was closed, also while
    this waits.
    """
    channel = self.channel
    if self.closed or channel.receivers or not channel.buffer:
        return await self.slow_receive()
    item = channel.buffer.popleft()
    if channel.senders and channel.bound:
        channel.senders.wake_next()
    return item


@named("Receiver.receive_many")
async def receive_many(self: Any, max: int | None = None) -> list[Any]:
    """A list of the items that are there, `max` at most; waits for the first, and raises, as `receive` does."""
    return await self.slow_receive_many(max)  # type: ignore[no-any-return]


@named("Receiver.__anext__")
async def next_item(self: Any) -> Any:
    channel = self.channel
    if self.closed or channel.receivers or not channel.buffer:
        return await self.slow_next()
    item = channel.buffer.popleft()
    if channel.senders and channel.bound:
        channel.senders.wake_next()
    return item


@named("ThreadChannel.send")
async def send_across(self: Any, item: Any) -> None:
    """As `put`, for tasks."""
    if coop.any_fair() or not self.put_at_once(item):
        await self.send_in_turn(item)


@named("ThreadChannel.receive")
async def receive_across(self: Any) -> Any:
    """As `get`, for tasks."""
    item = NOTHING if coop.any_fair() else self.take_at_once()
    return (await self.receive_in_turn()) if item is NOTHING else item


@named("ThreadChannel.__anext__")
async def next_across(self: Any) -> Any:
    item = NOTHING if coop.any_fair() else self.take_at_once()
    return (await self.next_in_turn()) if item is NOTHING else item
