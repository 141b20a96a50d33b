"""Pump: tasks that read ahead of whoever wants the items.

Invariants
----------
* At most `capacity` items wait. An item is taken from its source only when there is room for it.
* Items of one source come in its order. An error of a source comes after its items, and once.
* `stop` returns when each task is done and each source is closed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from cede.tools.flows.flow import close_all

END = object()


class Pump:
    """Reads iterators into one line of items, each by a task of its own."""

    def __init__(self, iterators: list[Any], capacity: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.iterators = iterators
        self.capacity = capacity
        self.items: deque[Any] = deque()
        self.wants_room: deque[Any] = deque()
        self.reader: Any = None
        self.failure: BaseException | None = None
        self.tasks = [self.loop.create_task(self.read(each)) for each in iterators]
        self.left = len(self.tasks)

    async def read(self, iterator: Any) -> None:
        try:
            while True:
                while len(self.items) >= self.capacity:
                    room = self.loop.create_future()
                    self.wants_room.append(room)
                    await room
                try:
                    item = await iterator.__anext__()
                except StopAsyncIteration:
                    return
                self.items.append(item)
                self.wake()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if self.failure is None:
                self.failure = error
        finally:
            self.left -= 1
            self.wake()

    def wake(self) -> None:
        if self.reader is not None and not self.reader.done():
            self.reader.set_result(None)

    def take(self) -> Any:
        item = self.items.popleft()
        while self.wants_room:
            room = self.wants_room.popleft()
            if not room.done():
                room.set_result(None)
                break
        return item

    async def next(self, deadline: float | None = None) -> Any:
        """The next item, or END; raises the failure of a source. TimeoutError at `deadline`, in seconds of the loop's clock."""
        while not self.items:
            if self.failure is not None:
                failure, self.failure = self.failure, None
                try:
                    raise failure
                finally:
                    failure = None  # the error's traceback holds this frame
            if self.left <= 0:
                return END
            self.reader = self.loop.create_future()
            timer = None if deadline is None else self.loop.call_at(deadline, self.wake)
            try:
                await self.reader
            finally:
                self.reader = None
                if timer is not None:
                    timer.cancel()
            if deadline is not None and not self.items and self.loop.time() >= deadline:
                raise TimeoutError
        return self.take()

    async def stop(self) -> None:
        """End the tasks and close what they read."""
        for task in self.tasks:
            task.cancel()
        try:
            if self.tasks:
                await asyncio.wait(self.tasks)
        finally:
            await close_all(self.iterators)
