"""Source: iterators that one task reads, and that the same task closes.

So a cancel scope, a time limit or a context variable's token that an asynchronous generator holds across its `yield` is left where it was
entered, and the closing is not part of the block, perhaps a cancelled one, in which the items are read.

Invariants
----------
* Each iterator is closed by the task that read it. Only where that task was cancelled by somebody else before its first step, and so read
  nothing, `end` closes it.
* A source is asked to stop once, and not while it closes.
* CancelledError that nobody has asked for is a failure like any other: it is never taken for the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from cede.flows.flow import close_all
from cede.tasks.cancel_scope import ask_unless_shielded
from cede.tasks.uncancelled_wait import settle


class Source:
    """`read` is called, in a task, to read the iterators until they end, or until `stopping`; `before_closing` when it is done with that.
    `over` is told when all of that is done, and `failure` says how it failed.
    """

    def __init__(
        self,
        iterators: list[Any],
        read: Callable[[Source], Coroutine[Any, Any, None]],
        over: Callable[[Source], None],
        before_closing: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.iterators = iterators
        self.read: Any = read
        self.over: Any = over
        self.before_closing: Any = before_closing
        self.task: Any = None
        self.parked: Any = None  # while it waits for room, and not for an iterator
        self.begun = False
        self.stopping = False
        self.closing = False
        self.ended = False
        self.failure: BaseException | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to read."""
        work = self.work()
        try:
            self.task = loop.create_task(work)
        except BaseException:
            work.close()
            raise
        self.task.add_done_callback(self.task_done)

    async def work(self) -> None:
        self.begun = True
        try:
            try:
                if not self.stopping:
                    await self.read(self)
            finally:
                self.closing = True
                try:
                    if self.before_closing is not None:
                        await self.before_closing()
                finally:
                    await close_all(self.iterators)
        except BaseException as error:
            if not self.stopping or not isinstance(error, asyncio.CancelledError):
                self.failure = error
        finally:
            self.end_once()

    def task_done(self, task: Any) -> None:
        if not self.ended:  # cancelled before its first step
            if not self.stopping:
                self.failure = asyncio.CancelledError("the task that was to read the source was cancelled")
            self.end_once()

    def end_once(self) -> None:
        self.ended = True
        self.over(self)
        self.let_go()

    def let_go(self) -> None:
        """Of whoever made it and holds it: nothing that is over leaves a cycle."""
        self.read = self.over = self.before_closing = None

    async def wait_for_room(self, room: asyncio.Future[None]) -> None:
        self.parked = room
        try:
            await room
        finally:
            self.parked = None

    def take_failure(self) -> BaseException | None:
        failure, self.failure = self.failure, None
        return failure

    def stop(self) -> None:
        """Ask it to stop. A task that has not begun yet sees that by itself, and closes what it was to read."""
        if not self.stopping:
            self.stopping = True
            self.failure = None  # from before, and nobody has come to read it
            if self.task is None or not self.begun or self.closing:
                return
            if self.parked is None:
                ask_unless_shielded(self.task)
            elif not self.parked.done():
                self.parked.set_result(None)  # a shield that the source holds across its yield would keep a request away


async def end(sources: Iterable[Source], others: Iterable[Any] = ()) -> None:
    """Stop sources, and wait until they, and the other tasks, are done. Then the failure of the last one that failed to stop is raised;
    where the wait was cancelled, the cancellation is, and the failure goes to the loop's exception handler.
    """
    sources = list(sources)
    for source in sources:
        source.stop()
    cancelled: BaseException | None = None
    failure: BaseException | None = None
    try:
        try:
            await settle([*others, *(source.task for source in sources if source.task is not None)])
        except asyncio.CancelledError as request:
            cancelled = request
        unread = [each for source in sources if not source.begun for each in source.iterators]
        if unread:
            closing = asyncio.get_running_loop().create_task(close_all(unread))
            try:
                await settle([closing])
            except asyncio.CancelledError as request:
                cancelled = request
            if not closing.cancelled():
                failure = closing.exception()
            closing = None  # type: ignore[assignment]
        for source in sources:
            source.let_go()
            failure = source.take_failure() or failure
        if cancelled is not None:
            if failure is not None:
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "a source failed while a cancelled flow was closed", "exception": failure}
                )
            raise cancelled
        if failure is not None:
            raise failure
    finally:
        cancelled = failure = None  # the error's traceback holds this frame
