"""Waiting as the interpreter likes it: coroutines, which do what the operations of the compiled build do.

An operation that is interpreted itself would cost several times what a coroutine costs. The invariants are those that stand at the
heads of lock.py, event.py, semaphore.py, condition.py and queue.py.
"""

from __future__ import annotations

import functools
from asyncio import CancelledError
from collections.abc import Callable
from typing import Any, TypeVar

from cede.core import fairness
from cede.tools.coroutines import one_turn
from cede.tools.sync.errors import QueueEmpty, QueueFull, QueueShutDown

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
        if fairness.spent():
            fairness.told()
            await one_turn()
        try:
            return await method(*args)
        finally:
            fairness.ended()

    return fair


def take_part(owner: type, *names: str) -> None:
    """On fair loops these coroutine methods of `owner` count."""
    for name in names:
        fairness.fair_here(owner, name, fairly)


@named("Lock.acquire")
async def acquire_lock(lock: Any) -> bool:
    """Wait until the lock is free and take it; the result is True."""
    line = lock.waiting
    if lock._locked or (line and not line.idle()):
        line = lock.line()
        waiter = lock.new_waiter()
        line.add_bare(waiter)
        try:
            await waiter
        except BaseException:
            line.remove(waiter)
            lock.hand_on()
            raise
        line.remove(waiter)
    lock._locked = True
    return True


@named("Semaphore.acquire")
async def acquire_semaphore(semaphore: Any) -> bool:
    """Wait for a permit and take it; the result is True."""
    line = semaphore.waiting
    if semaphore._value and not (line and not line.idle()):
        semaphore._value -= 1
        return True
    line = semaphore.line()
    waiter = semaphore.new_waiter()
    line.add_bare(waiter)
    try:
        await waiter
    except BaseException:
        line.remove(waiter)
        if waiter.done() and not waiter.cancelled():
            semaphore._value += 1
        semaphore.hand_out()
        raise
    line.remove(waiter)
    if semaphore._value:
        semaphore.hand_out()
    return True


@named("Event.wait")
async def wait_for_event(event: Any) -> bool:
    """Wait until the flag is up; at once where it is. The result is True."""
    if not event._value:
        line = event.line()
        waiter = event.new_waiter()
        line.add_bare(waiter)
        try:
            await waiter
        finally:
            line.remove(waiter)
    return True


@named("Condition.wait")
async def wait_for_notification(condition: Any) -> bool:
    """Let the lock go, wait to be notified, and take the lock again; the result is True.

    Look again at what was waited for: another task may have been quicker. RuntimeError where the lock is not held.
    """
    if not condition.locked():
        raise RuntimeError("cannot wait on un-acquired lock")
    line = condition._waiters
    waiter = condition._get_loop().create_future()
    condition.release()
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
                await condition.acquire()
                break
            except CancelledError as error:
                failure = error
            except BaseException:
                if notified:
                    condition._notify(1)
                raise
        if failure is not None:
            if notified:
                condition._notify(1)
            raise failure
        return True
    finally:
        failure = None  # it holds this frame


@named("Queue.put")
async def put_in_queue(queue: Any, item: Any) -> None:
    """Put `item` into the queue, as soon as there is room and all who came before have put theirs.

    Raises QueueShutDown where the queue was shut down, also while this waits.
    """
    line = queue.putters
    if line or queue.full():
        if queue._is_shutdown:
            raise QueueShutDown
        waiter = queue.new_waiter()
        line.add_bare(waiter)
        try:
            await waiter
            while queue.full() and not queue._is_shutdown:
                again = queue.new_waiter()
                line.replace(waiter, again)
                waiter = again
                await waiter
        except BaseException:
            line.remove(waiter)
            queue.pass_on_room()
            raise
        line.remove(waiter)
        try:
            queue.put_nowait(item)
        finally:
            if line:
                queue.pass_on_room()
        return
    queue.put_nowait(item)


@named("Queue.get")
async def get_from_queue(queue: Any) -> Any:
    """Take an item out of the queue, as soon as there is one and all who came before have theirs.

    Raises QueueShutDown where the queue was shut down and is empty, also while this waits.
    """
    line = queue.getters
    if (line and not queue._is_shutdown) or queue.empty():
        if queue._is_shutdown:
            raise QueueShutDown
        waiter = queue.new_waiter()
        line.add_bare(waiter)
        try:
            await waiter
            while queue.empty() and not queue._is_shutdown:
                again = queue.new_waiter()
                line.replace(waiter, again)
                waiter = again
                await waiter
        except BaseException:
            line.remove(waiter)
            queue.pass_on_items()
            raise
        line.remove(waiter)
        try:
            return queue.get_nowait()
        finally:
            if line:
                queue.pass_on_items()
    return queue.get_nowait()


@named("Queue.join")
async def join_queue(queue: Any) -> None:
    """Wait until `task_done` was called for each item that was put."""
    if queue._unfinished_tasks > 0:
        await queue._finished.wait()


def put_now(queue: Any, item: Any) -> None:
    """Put `item` into the queue now. Raises QueueFull where there is no room, QueueShutDown where the queue was shut down."""
    if queue._is_shutdown:
        raise QueueShutDown
    if queue.full():
        raise QueueFull
    queue._put(item)
    queue._unfinished_tasks += 1
    queue._finished._value = False
    if queue.getters:
        queue.getters.wake_next()


def get_now(queue: Any) -> Any:
    """Take an item now. Raises QueueEmpty where there is none, QueueShutDown where there is none and the queue was shut down."""
    if queue.empty():
        raise QueueShutDown if queue._is_shutdown else QueueEmpty
    item = queue._get()
    if queue.putters:
        queue.putters.wake_next()
    return item


def release_lock(lock: Any) -> None:
    """Let the lock go: the first who waits gets it. RuntimeError where nobody holds it."""
    if not lock._locked:
        raise RuntimeError("Lock is not acquired.")
    lock._locked = False
    if lock.waiting:
        lock.waiting.wake_first()


@named("Sender.send")
async def send(sender: Any, item: Any) -> None:
    """Send `item`, as soon as there is room and all who came before have sent theirs.

    Raises BrokenResourceError where no receiver is left, ClosedResourceError where this sender was closed, also while this waits.
    """
    channel = sender.channel
    if sender.closed or channel.senders or not channel.open_receivers or len(channel.buffer) >= channel.bound:
        await sender.slow_send(item)
        return
    channel.buffer.append(item)
    if channel.receivers:
        channel.receivers.wake_next()


@named("Receiver.receive")
async def receive(receiver: Any) -> Any:
    """The next item, as soon as there is one and all who came before have theirs.

    Raises EndOfChannel where there is none and no sender is left, ClosedResourceError where this receiver was closed, also while
    this waits.
    """
    channel = receiver.channel
    if receiver.closed or channel.receivers or not channel.buffer:
        return await receiver.slow_receive()
    item = channel.buffer.popleft()
    if channel.senders and channel.bound:
        channel.senders.wake_next()
    return item


@named("Receiver.__anext__")
async def next_item(receiver: Any) -> Any:
    channel = receiver.channel
    if receiver.closed or channel.receivers or not channel.buffer:
        return await receiver.slow_next()
    item = channel.buffer.popleft()
    if channel.senders and channel.bound:
        channel.senders.wake_next()
    return item
