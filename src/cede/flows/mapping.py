"""map: a coroutine function over items, so many at a time, in memory that the limit bounds.

Invariants
----------
* No item is taken before there is room for its task: at most `limit` tasks and unread results exist together.
* However the iteration ends, and however often it is cancelled meanwhile, each task it began is done, and then the iterators of the items
  are closed, by the task that read them.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from typing import Any

from cede.core.task.operation import new_waiter
from cede.flows.flow import Flow, Steps, reading
from cede.flows.progress import shown
from cede.flows.pump import zipped
from cede.flows.source import Source, end
from cede.sync.limited_coroutine import CoroutineLimiter
from cede.tasks.cancel_scope import ask_unless_shielded


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
    CoroutineLimiter(limit, "map()")  # says what is wrong with it
    iterators = [reading(each) for each in iterables]
    results = mapped(fn, iterators, limit, ordered)
    if progress:
        sized: list[Any] = [each for each in iterables if hasattr(each, "__len__")]
        lengths = [len(each) for each in sized]
        results = shown(results, min(lengths) if lengths else None, getattr(fn, "__name__", "map"))
    return Flow(results, iterators)


async def call(fn: Callable[..., Any], row: list[Any]) -> Any:
    # No method: an error's traceback holds this frame, and the mapping would hold the error.
    found = fn(*row)
    return await found if inspect.isawaitable(found) else found


class Mapping:
    """The tasks of one `map`, what they brought, and the task that feeds it."""

    def __init__(self, fn: Callable[..., Any], iterators: list[Any], limit: int, ordered: bool) -> None:
        self.fn = fn
        self.limit = limit
        self.ordered = ordered
        self.loop = asyncio.get_running_loop()
        self.tasks: deque[Any] = deque()  # in order: those whose results were not read yet
        self.running: dict[Any, None] = {}
        self.done: deque[Any] = deque()  # as they come
        self.room: Any = None
        self.news: Any = None
        self.drained: Any = None
        # Of several that are asynchronous each is read by a task of its own: what two of them hold across a yield need not nest.
        self.rows = sum(not isinstance(each, Steps) for each in iterators) > 1
        self.source = Source([Flow(zipped(iterators, 0, False), iterators)] if self.rows else iterators, self.feed, self.tell, self.drain)

    async def feed(self, source: Source) -> None:
        while not source.stopping:
            while self.held() >= self.limit:
                self.room = new_waiter(self.loop, self)
                await source.wait_for_room(self.room)
                if source.stopping:
                    return
            row: list[Any] = []
            for iterator in source.iterators:
                try:
                    row.append(await iterator.__anext__())
                except StopAsyncIteration:
                    return
                if source.stopping:
                    return  # an iterator may take a cancellation for no reason to stop
            task = self.loop.create_task(call(self.fn, row[0] if self.rows else row))
            self.running[task] = None
            if self.ordered:
                self.tasks.append(task)
            task.add_done_callback(self.one_done)

    async def drain(self) -> None:
        """What the items come from is closed when nobody works on an item any more."""
        while self.running:
            self.drained = new_waiter(self.loop, self)
            await self.drained

    def one_done(self, task: Any) -> None:
        self.running.pop(task, None)
        if not self.running and self.drained is not None and not self.drained.done():
            self.drained.set_result(None)
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
        self.news = new_waiter(self.loop, self)
        try:
            await self.news
        finally:
            self.news = None

    async def stop(self) -> None:
        """End everything. What is raised by tasks that nobody reads any more is nobody's business."""
        left = list(self.running)
        for task in left:
            ask_unless_shielded(task)
        try:
            await end([self.source], left)
        finally:
            for task in (*left, *self.tasks, *self.done):
                if task.done() and not task.cancelled():
                    task.exception()
            task = None


async def mapped(fn: Callable[..., Any], iterators: list[Any], limit: int, ordered: bool) -> AsyncGenerator[Any, None]:
    mapping = Mapping(fn, iterators, limit, ordered)
    task = None
    try:
        mapping.source.start(mapping.loop)
        while True:
            task = mapping.take()
            if task is not None:
                yield task.result()
            elif not mapping.source.ended or mapping.held():
                await mapping.wait()
            else:
                failure = mapping.source.take_failure()
                if failure is None:
                    return
                raise failure
    finally:
        task = failure = None  # an error's traceback holds this frame
        await mapping.stop()
