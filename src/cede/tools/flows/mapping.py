"""map: a coroutine function over items, so many at a time, in memory that the limit bounds.

Invariants
----------
* No item is taken before there is room for its task: at most `limit` tasks and unread results exist together.
* However the iteration ends, each task it began is done, and the iterators of the items are closed.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from typing import Any

from cede.tools.flows.flow import Flow, close_all, reading
from cede.tools.flows.progress import shown
from cede.tools.groups.gate import Gate


def map(
    fn: Callable[..., Any],
    *iterables: Iterable[Any] | AsyncIterable[Any],
    limit: int = 100,
    ordered: bool = True,
    progress: bool = False,
) -> Flow[Any]:
    """``async for result in map(fn, items)``: what ``await fn(item)`` returns, for the items of plain or asynchronous iterables.

    limit: how many run at a time, which also bounds how far ahead of the reader items are taken. ordered: results in the order of the
    items; False: as they come. progress: show a bar, through rich or tqdm. A failure is raised where its result would come, and ends the
    rest. Raises TypeError or ValueError for a bad argument, RuntimeError where a bar is wanted and neither rich nor tqdm is installed.
    """
    if not callable(fn):
        raise TypeError(f"map(): fn must be callable, got {fn!r}")
    if not iterables:
        raise TypeError("map(): at least one iterable is needed")
    Gate(limit, "map()")  # says what is wrong with it
    results = mapped(fn, [reading(each) for each in iterables], limit, ordered)
    if progress:
        sized: list[Any] = [each for each in iterables if hasattr(each, "__len__")]
        lengths = [len(each) for each in sized]
        results = shown(results, min(lengths) if lengths else None, getattr(fn, "__name__", "map"))
    return Flow(results)


class Mapping:
    """The tasks of one `map`, what they brought, and the task that feeds it."""

    def __init__(self, fn: Callable[..., Any], iterators: list[Any], limit: int, ordered: bool) -> None:
        self.fn = fn
        self.iterators = iterators
        self.limit = limit
        self.ordered = ordered
        self.loop = asyncio.get_running_loop()
        self.tasks: deque[Any] = deque()  # in order: those whose results were not read yet
        self.running: set[Any] = set()
        self.done: deque[Any] = deque()  # as they come
        self.room: Any = None
        self.news: Any = None
        self.feeder = self.loop.create_task(self.feed())
        self.feeder.add_done_callback(self.tell)

    async def feed(self) -> None:
        while True:
            while self.held() >= self.limit:
                self.room = self.loop.create_future()
                await self.room
            row = []
            for iterator in self.iterators:
                try:
                    row.append(await iterator.__anext__())
                except StopAsyncIteration:
                    return
            task = self.loop.create_task(self.call(row))
            self.running.add(task)
            if self.ordered:
                self.tasks.append(task)
            task.add_done_callback(self.one_done)

    async def call(self, row: list[Any]) -> Any:
        found = self.fn(*row)
        return await found if inspect.isawaitable(found) else found

    def one_done(self, task: Any) -> None:
        self.running.discard(task)
        if not self.ordered:
            self.done.append(task)
        self.tell()

    def tell(self, _: object = None) -> None:
        if self.news is not None and not self.news.done():
            self.news.set_result(None)

    def held(self) -> int:
        return len(self.tasks) if self.ordered else len(self.running) + len(self.done)

    def take(self) -> Any:
        """The task whose result comes next, where that is there."""
        task = None
        if not self.ordered:
            task = self.done.popleft() if self.done else None
        elif self.tasks and self.tasks[0].done():
            task = self.tasks.popleft()
        if task is not None and self.room is not None and not self.room.done():
            self.room.set_result(None)
        return task

    async def wait(self) -> None:
        self.news = self.loop.create_future()
        try:
            await self.news
        finally:
            self.news = None

    async def stop(self) -> None:
        """End everything. What is raised by tasks that nobody reads any more is nobody's business."""
        left = [self.feeder, *self.running]
        for task in left:
            task.cancel()
        try:
            await asyncio.wait(left)
        finally:
            for task in (*left, *self.tasks, *self.done):
                if task.done() and not task.cancelled():
                    task.exception()
            await close_all(self.iterators)


async def mapped(fn: Callable[..., Any], iterators: list[Any], limit: int, ordered: bool) -> AsyncGenerator[Any, None]:
    mapping = Mapping(fn, iterators, limit, ordered)
    try:
        while True:
            task = mapping.take()
            if task is not None:
                yield task.result()
            elif not mapping.feeder.done() or mapping.held():
                await mapping.wait()
            else:
                mapping.feeder.result()
                return
    finally:
        await mapping.stop()
