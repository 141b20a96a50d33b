"""Threads, for what blocks: files, old libraries, anything that gives up the interpreter lock while it waits."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cede.core.task.operation import new_waiter
from cede.offload.pool import Pool

WAITING, RUNNING, OVER = range(3)


class ThreadCall:
    """A call on its way through a thread, in a copy of its caller's context.

    Exactly one side says that nothing is under way any more: the caller, unless it gives the errand up while it runs; then the thread
    does, on the loop.
    """

    __slots__ = ("args", "context", "function", "kwargs", "lock", "loop", "over", "state")

    def __init__(self, loop: asyncio.AbstractEventLoop, function: Any, args: Any, kwargs: Any) -> None:
        self.loop = loop
        self.context = contextvars.copy_context()
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.lock = threading.RLock()  # a finalizer of this thread may come in between
        self.state = WAITING
        self.over: Callable[[], object] | None = None

    def __call__(self) -> Any:
        with self.lock:
            if self.state != WAITING:
                return None  # given up, and nobody looks
            self.state = RUNNING
        try:
            return self.context.run(self.function, *self.args, **self.kwargs)
        finally:
            with self.lock:
                self.state = OVER
                over = self.over
            if over is not None:
                try:
                    self.loop.call_soon_threadsafe(over)
                except RuntimeError:
                    if not self.loop.is_closed():
                        raise

    def give_up(self, over: Callable[[], object]) -> None:
        """Nobody waits any more. `over` is called when nothing is under way: now, or when the function has returned."""
        with self.lock:
            if self.state == RUNNING:
                self.over = over
                return
            self.state = OVER
        over()


async def in_thread(executor: Any, function: Any, args: Any, kwargs: Any, over: Callable[[], object]) -> Any:
    """Call it on a thread of `executor` (None: the loop's own). `over` is called once, when nothing is under way any more."""
    try:
        loop = asyncio.get_running_loop()
        errand = ThreadCall(loop, function, args, kwargs)
        job = loop.run_in_executor(executor, errand)
    except BaseException:
        over()
        raise
    try:
        return await job
    finally:
        errand.give_up(over)


async def on_own_thread(work: Callable[[], object], name: str) -> None:
    """Call it on a thread that is made for it, and wait. Cancelled, the wait ends; the work goes on."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = new_waiter(loop, work)

    def tell(failure: BaseException | None) -> None:
        if not done.done():
            if failure is None:
                done.set_result(None)
            else:
                done.set_exception(failure)

    def run() -> None:
        failure = None
        try:
            work()
        except BaseException as error:
            failure = error
        try:
            loop.call_soon_threadsafe(tell, failure)
        except RuntimeError:
            if not loop.is_closed():
                raise

    thread = threading.Thread(target=run, name=name)
    thread.start()
    await done
    thread.join()  # to tell was the last that it did


class ThreadPool(Pool):
    """Calls on threads of its own, at most `size` at once.

    A call runs in a copy of its caller's context. A thread cannot be stopped: a cancelled call stops waiting, and keeps its place until
    the function has returned.
    """

    kind = "thread"

    def __init__(self, size: int | None = None, *, name: str | None = None, queue: int | None = None) -> None:
        super().__init__(size, name=name, queue=queue)
        self._executor: Any = ThreadPoolExecutor(self._size, thread_name_prefix=f"cede-{self._name}")

    async def perform(self, function: Any, args: Any, kwargs: Any, over: Callable[[], object]) -> Any:
        """Do it on a thread."""
        return await in_thread(self._executor, function, args, kwargs, over)

    async def end(self) -> None:
        """Wait for the threads, which have nothing to do but to let go of what they did last."""
        await on_own_thread(self._executor.shutdown, f"cede-{self._name}-end")

    def abandon(self) -> None:
        """Threads that work go when they have done it."""
        self._executor.shutdown(wait=False, cancel_futures=True)
