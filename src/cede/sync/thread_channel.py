"""ThreadChannel: items between threads and loops, each side waiting in its own way.

Invariants
----------
* Everything here is touched under `lock`, which is never held while anybody waits.
* A finalizer or a signal's handler may come in between, on the thread that holds the lock: a count that was taken before is not trusted
  further than to the next call, and who would have to wait there, for what it has interrupted, is refused.
* An item is put, or taken, in the moment in which the call ends: one that is cancelled, or times out, has done nothing.
* A ticket leaves its line when it is woken. Whoever was woken for nothing goes back to the head; whoever gives up after it was woken
  wakes the next, if there is something for it.
* A closed channel takes no more, and gives what it has.
"""

from __future__ import annotations

import threading
import time
from asyncio import events
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat, starmap
from typing import Any, NamedTuple

from cede.core.scheduler.coop import any_fair
from cede.core.task.operation import new_waiter
from cede.sync.completed import PASSING
from cede.sync.errors import ClosedResourceError, EndOfChannel, WouldBlock
from cede.sync.thread_channel_fast import COUNTS, FastThreadChannel


class ThreadChannelStatistics(NamedTuple):
    """What `statistics` tells: counts of items and of those who wait, threads and tasks together."""

    current_buffer_used: int
    max_buffer_size: int | float
    waiting_put: int
    waiting_get: int


class ThreadTicket:
    """A thread that waits."""

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()

    def wake(self) -> bool:
        self.gate.release()
        return True


class TaskTicket:
    """A task that waits, on a loop that may be another thread's."""

    def __init__(self, channel: Any) -> None:
        self.loop = events.get_running_loop()
        self.waiter = new_waiter(self.loop, channel)

    def wake(self) -> bool:
        try:
            self.loop.call_soon_threadsafe(go_on, self.waiter)
        except RuntimeError:
            return False  # its loop is closed: nobody will run there any more
        return True


def go_on(waiter: Any) -> None:
    if not waiter.done():
        waiter.set_result(None)


class ThreadChannel(FastThreadChannel):
    """A channel between threads and event loops. Any method may be called in any thread.

    Threads call `put`, `get` and their kin, which block; tasks await `send`, `receive` and theirs. Both take batches, which is what to
    use where there are many items: a batch costs hardly more than an item.

    capacity: how many items may lie in it before whoever puts has to wait; math.inf for no limit.
    """

    # -- in threads

    def put_in_turn(self, item: Any, timeout: float | None) -> None:
        self.block("put", self.putters, lambda: self.place([item], 0) == 1, timeout)

    def get_in_turn(self, timeout: float | None) -> Any:
        return self.get_many(1, timeout)[0]

    def put_many(self, items: Iterable[Any], timeout: float | None = None) -> None:
        """Put all `items`, in order, as there is room. TimeoutError says in `put` how many went in before the time was up."""
        batch = list(items)
        done = 0

        def some() -> bool:
            nonlocal done
            done = self.place(batch, done)
            return done == len(batch)

        try:
            self.block("put_many", self.putters, some, timeout)
        except TimeoutError as error:
            error.put = done  # type: ignore[attr-defined]
            raise

    def put_nowait(self, item: Any) -> None:
        """Put `item` now. Raises WouldBlock where there is no room, ClosedResourceError where the channel was closed."""
        with self.lock:
            if self.place([item], 0) == 0:
                raise WouldBlock

    def get_many(self, max: int | None = None, timeout: float | None = None) -> list[Any]:
        """A list of the items that are there, `max` at most; waits for the first, and raises, as `get` does."""
        taken: list[Any] = []
        check_count("get_many", max)
        self.block("get_many", self.getters, lambda: self.take(taken, max), timeout)
        return taken

    def get_nowait(self) -> Any:
        """The next item, now. Raises WouldBlock where there is none, EndOfChannel where the channel was closed too."""
        taken: list[Any] = []
        with self.lock:
            if not self.take(taken, 1):
                raise WouldBlock
        return taken[0]

    def __iter__(self) -> Iterator[Any]:
        """The items, in a thread, until the channel ends."""
        while True:
            try:
                item = self.get()
            except EndOfChannel:
                return
            yield item

    # -- in tasks

    async def send_in_turn(self, item: Any) -> None:
        await self.wait(self.putters, lambda: self.place([item], 0) == 1, counted=COUNTS)

    async def receive_in_turn(self) -> Any:
        taken: list[Any] = []
        await self.wait(self.getters, lambda: self.take(taken, 1), counted=COUNTS)
        return taken[0]

    async def next_in_turn(self) -> Any:
        try:
            return await self.receive_in_turn()
        except EndOfChannel:
            raise StopAsyncIteration from None

    async def send_many(self, items: Iterable[Any]) -> None:
        """As `put_many`, for tasks. Cancelled, what was put before stays put."""
        batch = list(items)
        done = 0

        def some() -> bool:
            nonlocal done
            done = self.place(batch, done)
            return done == len(batch)

        await self.wait(self.putters, some)

    async def receive_many(self, max: int | None = None) -> list[Any]:
        """As `get_many`, for tasks."""
        taken: list[Any] = []
        check_count("receive_many", max)
        await self.wait(self.getters, lambda: self.take(taken, max))
        return taken

    # -- the end

    def close(self) -> None:
        """Take no more. What is there can still be got; then whoever gets, or waits, hears EndOfChannel."""
        with self.lock:
            self.closed = True
            for line in (self.getters, self.putters):
                while line:
                    self.wake(line)

    def __enter__(self) -> ThreadChannel:
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self.close()

    def statistics(self) -> ThreadChannelStatistics:
        """Counts, as they were at one moment."""
        with self.lock:
            return ThreadChannelStatistics(len(self.buffer), self.capacity, len(self.putters), len(self.getters))

    def __repr__(self) -> str:
        held = f"{len(self.buffer)} items of {self.capacity}"
        return f"<{type(self).__name__} {'closed' if self.closed else 'open'}, {held}, at {id(self):#x}>"

    # -- under the lock

    def place(self, batch: list[Any], done: int) -> int:
        """Put what fits of ``batch[done:]``; how many are in then."""
        if self.closed:
            raise ClosedResourceError("the channel was closed")
        room = self.capacity - len(self.buffer)
        if room > 0 and done < len(batch):
            some = batch if done == 0 and room >= len(batch) else batch[done : done + int(min(room, len(batch)))]
            self.buffer.extend(some)
            done += len(some)
            if self.getters:
                self.wake(self.getters)
        return done

    def take(self, taken: list[Any], count: int | None) -> bool:
        """Move up to `count` items to `taken`; whether there were any."""
        buffer = self.buffer
        before = len(taken)
        there = len(buffer)
        try:
            # Each is taken and kept in one: nothing can come in between.
            taken.extend(starmap(buffer.popleft, repeat((), there if count is None else min(count, there))))
        except IndexError:
            pass  # what has come in between took some
        if len(taken) == before:
            if self.closed and not buffer:
                raise EndOfChannel
            return False
        if self.putters:
            self.wake(self.putters)
        return True

    def wake(self, line: deque[Any]) -> None:
        try:
            while line and not line.popleft().wake():
                pass
        except IndexError:
            pass  # what has come in between woke the last

    def pass_on(self) -> None:
        """Somebody is through, or gave up: who waits for what is left?"""
        if self.getters and (self.buffer or self.closed):
            self.wake(self.getters)
        if self.putters and (self.closed or len(self.buffer) < self.capacity):
            self.wake(self.putters)

    def attempt(self, work: Callable[[], bool]) -> bool:
        try:
            done = work()
        except BaseException:
            self.pass_on()
            raise
        if done:
            self.pass_on()
        return done

    # -- waiting

    def block(self, name: str, line: deque[Any], work: Callable[[], bool], timeout: float | None) -> None:
        """Call `work` under the lock until it succeeds, in turn with the others of `line`."""
        with self.lock:
            if (not line or self.closed) and self.attempt(work):
                return
            if events._get_running_loop() is not None:  # type: ignore[attr-defined]
                raise RuntimeError(f"{name}() would block the event loop of this thread: await send() or receive() there")
            if self.lock.is_nested():
                raise RuntimeError(f"{name}() would block, in a finalizer or a signal handler, what that has interrupted")
            ticket = ThreadTicket()
            line.append(ticket)
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = -1.0 if deadline is None else max(deadline - time.monotonic(), 0.0)
            try:
                ticket.gate.acquire(timeout=min(left, threading.TIMEOUT_MAX))
            except BaseException:
                with self.lock:
                    self.give_up(line, ticket)
                raise
            with self.lock:
                woken = ticket not in line
                if woken and self.attempt(work):
                    return
                if deadline is not None and time.monotonic() >= deadline:
                    self.give_up(line, ticket)
                    raise TimeoutError(f"{name}(): nothing happened within {timeout} seconds")
                if woken:
                    line.appendleft(ticket)

    async def wait(self, line: deque[Any], work: Callable[[], bool], *, counted: bool = False) -> None:
        """The same for tasks. `counted`: whether a fair loop knows of it already."""
        if any_fair() and not counted:
            await PASSING
        with self.lock:
            if (not line or self.closed) and self.attempt(work):
                return
            ticket = TaskTicket(self)
            line.append(ticket)
        while True:
            try:
                await ticket.waiter
            except BaseException:
                with self.lock:
                    self.give_up(line, ticket)
                raise
            with self.lock:
                if self.attempt(work):
                    return
                ticket = TaskTicket(self)
                line.appendleft(ticket)

    def give_up(self, line: deque[Any], ticket: Any) -> None:
        try:
            line.remove(ticket)
        except ValueError:
            pass  # it was woken
        self.pass_on()


def check_count(name: str, count: int | None) -> None:
    if count is not None and (not isinstance(count, int) or count < 1):
        raise ValueError(f"{name}(): max must be a number of items, 1 or more, got {count!r}")


def thread_channel(capacity: int | float) -> ThreadChannel:
    """A channel between threads and event loops, for up to `capacity` items at a time; math.inf for no limit."""
    return ThreadChannel(capacity)
