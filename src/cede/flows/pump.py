"""Pump: tasks that read ahead of whoever wants the items.

Invariants
----------
* At most `capacity` items wait. An item is taken from its source only when there is room for it; with a capacity of 0, when it was asked
  for.
* Items of one source come in its order. An error of a source comes after its items, and once; CancelledError that a source raises is such
  an error.
* `stop` returns when each task is done and each source is closed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

from cede.core.task.operation import new_waiter
from cede.flows.source import Source, end

END = object()
LATE = object()
FAILED = object()


class Pump:
    """Reads iterators into one line of items, each by a task of its own, from `start` on."""

    def __init__(self, iterators: list[Any], capacity: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.capacity = capacity
        self.on_demand = capacity == 0
        self.items: deque[Any] = deque()
        self.wants_room: deque[Any] = deque()
        self.reader: Any = None
        self.failure: BaseException | None = None
        self.sources = [Source([each], self.read, self.one_over) for each in iterators]
        self.left = len(self.sources)

    def start(self) -> None:
        """Begin to read."""
        for source in self.sources:
            source.start(self.loop)

    async def read(self, source: Source) -> None:
        (iterator,) = source.iterators
        while not source.stopping:
            while len(self.items) >= self.capacity:
                room = new_waiter(self.loop, self)
                self.wants_room.append(room)
                await source.wait_for_room(room)
                if source.stopping:
                    return
            try:
                item = await iterator.__anext__()
            except StopAsyncIteration:
                return
            self.items.append(item)
            self.wake()

    def one_over(self, source: Source) -> None:
        if self.failure is None and not source.stopping:
            self.failure = source.take_failure()
        self.left -= 1
        self.wake()

    def wake(self) -> None:
        if self.reader is not None and not self.reader.done():
            self.reader.set_result(None)

    def admit(self) -> None:
        while self.wants_room:
            room = self.wants_room.popleft()
            if not room.done():
                room.set_result(None)
                break

    async def look(self, deadline: float | None = None) -> Any:
        """The next item; or END; or FAILED, and `failed` raises why; or LATE at `deadline`, in seconds of the loop's clock."""
        while not self.items:
            if self.failure is not None:
                return FAILED
            if self.left <= 0:
                return END
            self.reader = new_waiter(self.loop, self)
            timer = None if deadline is None else self.loop.call_at(deadline, self.wake)
            try:
                await self.reader
            finally:
                self.reader = None
                if timer is not None:
                    timer.cancel()
            if deadline is not None and not self.items and self.failure is None and self.left > 0 and self.loop.time() >= deadline:
                return LATE
        item = self.items.popleft()
        if self.on_demand:
            self.capacity = 0
        else:
            self.admit()
        return item

    def failed(self) -> None:
        """Raise the failure of a source."""
        failure, self.failure = self.failure, None
        assert failure is not None
        try:
            raise failure
        finally:
            failure = None  # the error's traceback holds this frame

    async def next(self) -> Any:
        """The next item, or END; raises the failure of a source."""
        item = await self.look()
        if item is FAILED:
            self.failed()
        return item

    def ask(self) -> None:
        """Have one item read that was not asked for before, in a pump that reads nothing ahead."""
        if self.on_demand:
            self.capacity = 1
            self.admit()

    async def stop(self) -> None:
        """End the tasks, which close what they read."""
        self.failure = None
        await end(self.sources)


async def zipped(iterators: list[Any], capacity: int, strict: bool) -> AsyncGenerator[tuple[Any, ...], None]:
    """Rows of one item of each iterator, each of which a task of its own reads, up to `capacity` ahead."""
    pumps = [Pump([each], capacity) for each in iterators]
    try:
        for pump in pumps:
            pump.start()
        while pumps:
            for pump in pumps:
                pump.ask()
            row = [await pump.next() for pump in pumps]
            ended = [item is END for item in row]
            if any(ended):
                if strict and not all(ended):
                    raise ValueError("zip() has sources of different lengths")
                return
            yield tuple(row)
    finally:
        for pump in pumps:
            pump.failure = None
        await end([source for pump in pumps for source in pump.sources])
