"""Waiting as the interpreter likes it: coroutines, which do what the operations of the compiled build do.

An operation that is interpreted itself would cost several times what a coroutine costs. The invariants are those that stand at the
heads of lock.py, event.py, semaphore.py, condition.py and queue.py.
"""

from __future__ import annotations

from asyncio import CancelledError
from typing import Any

from cede.tools.sync.errors import QueueShutDown


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


async def put_in_queue(queue: Any, item: Any) -> None:
    """Put `item` into the queue, as soon as there is room and all who came before have put theirs.

    Raises QueueShutDown where the queue was shut down, also while this waits.
    """
    line = queue._putters
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


async def get_from_queue(queue: Any) -> Any:
    """Take an item out of the queue, as soon as there is one and all who came before have theirs.

    Raises QueueShutDown where the queue was shut down and is empty, also while this waits.
    """
    line = queue._getters
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


async def join_queue(queue: Any) -> None:
    """Wait until `task_done` was called for each item that was put."""
    if queue._unfinished_tasks > 0:
        await queue._finished.wait()
