"""Work for threads: `run_in_executor`, and how the default pool ends."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import traceback
import warnings
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures import Future as ThreadFuture
from typing import TYPE_CHECKING, Any

from cede.core.interpreters import DAEMONS
from cede.core.weak_ordered_set import WeakOrderedSet
from cede.loop.mixin import LoopMixin
from cede.loop.threads.executor import LoopThreads
from cede.loop.unfinished import busy_threads

if TYPE_CHECKING:
    from collections.abc import Callable


def _describe_busy(pool: ThreadPoolExecutor) -> str:
    """Which threads of `pool` are inside a job, and where: what a shutdown that gave up was waiting for."""
    frames = sys._current_frames()
    lines = []
    for thread in busy_threads(pool):
        frame = frames.get(thread.ident or 0)
        if frame is not None:
            where = traceback.extract_stack(frame)[-1]
            lines.append(f"{thread.name} in {where.name} ({where.filename}:{where.lineno})")
    return "; ".join(lines)


class ExecutorMixin(LoopMixin):
    """The default executor and what asyncio offers around it."""

    _default_executor: Any = None
    _executor_shutdown_called = False
    # Those that were handed in by the program: where a shutdown looks for jobs that have not ended.
    _given_executors: WeakOrderedSet

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Call ``func(*args)`` on a thread of `executor` (None: the default one) and return a future for what it
        returns.

        Raises RuntimeError when the loop is closed or its default executor was shut down, TypeError for a coroutine
        function in debug mode.
        """
        self._check_closed()
        if self.get_debug():
            if asyncio.iscoroutine(func) or inspect.iscoroutinefunction(func):
                raise TypeError("coroutines cannot be used with run_in_executor(): await them, or create a task")
            if not callable(func):
                raise TypeError(f"run_in_executor() needs a callable object as func, got {func!r}")
        if executor is None:
            executor = self._default_executor
            if self._executor_shutdown_called:
                raise RuntimeError("Executor shutdown has been called: the default executor takes no more work")
            if executor is None and self._offload is not None:
                return self._offload_job(func, *args)
            if executor is None:
                executor = self._default_executor = LoopThreads(self)  # type: ignore[arg-type]
            if type(executor) is LoopThreads:
                future = self.new_waiter(func)
                executor.pool.call(self, future, func, args)  # type: ignore[arg-type]
                return future
        else:
            try:
                self._given_executors.add(executor)
            except TypeError:
                pass  # one that cannot be kept in a set is not looked after
        return asyncio.wrap_future(executor.submit(func, *args), loop=self)

    def _offload_job(self, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Give a job to the offload port; it is not forgotten before it is over."""
        job = self._submit_offload("job", func, *args)
        self._offloaded[job] = None
        job.add_done_callback(lambda done: self._offloaded.pop(done, None))
        return asyncio.wrap_future(job, loop=self)

    def _submit_offload(self, kind: str, function: Callable[..., Any], *args: Any) -> ThreadFuture[Any]:
        job = self._offload.submit(kind, function, *args)
        if not isinstance(job, ThreadFuture):
            raise TypeError(f"offload.submit(kind, function, *args) must return a concurrent.futures.Future, got {job!r}")
        return job

    def set_default_executor(self, executor: Any) -> None:
        """Have ``run_in_executor(None, ...)`` use `executor`. Raises TypeError if that is no ThreadPoolExecutor."""
        if not isinstance(executor, ThreadPoolExecutor):
            raise TypeError(f"executor must be ThreadPoolExecutor instance, got {executor!r}")
        self._default_executor = executor

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Take no more work for the default executor and wait until its threads have ended.

        `timeout` is in seconds; None waits for ever. When it runs out, a RuntimeWarning names the threads that are
        still busy.
        """
        executor = self._default_executor
        if not await self._end_default_executor(timeout):
            busy = f"{len(self._offloaded)} jobs of the offload port" if executor is None else _describe_busy(executor)
            warnings.warn(
                # asyncio's words first: programs filter on them
                f"The executor did not finishing joining its threads within {timeout} seconds. Still busy: {busy}",
                RuntimeWarning,
                stacklevel=2,
            )
            if executor is not None:
                executor.shutdown(wait=False)

    async def _end_default_executor(self, timeout: float | None) -> bool:
        """Whether the threads of the default executor have ended within `timeout` seconds."""
        self._executor_shutdown_called = True
        executor = self._default_executor
        if self._offloaded:
            jobs = [asyncio.wrap_future(job, loop=self) for job in list(self._offloaded)]
            for job in jobs:
                job.add_done_callback(_look_at)
            _, pending = await asyncio.wait(jobs, timeout=timeout)
            if pending:
                return False
        if executor is None:
            return True
        finished = self.new_waiter(executor)
        # A daemon: if it is given up, it must not hold up the end of the program by itself.
        joiner = threading.Thread(target=self._join_executor, args=(executor, finished), name="cede-executor-shutdown", daemon=DAEMONS)
        joiner.start()
        try:
            async with asyncio.timeout(timeout):
                await finished
        except TimeoutError:
            return False
        joiner.join()
        return True

    def _join_executor(self, executor: ThreadPoolExecutor, finished: asyncio.Future[None]) -> None:
        error = None
        try:
            executor.shutdown(wait=True)
        except Exception as failure:
            error = failure
        if self.is_closed():
            return  # whoever waited gave up, and the loop with them
        try:
            self.call_soon_threadsafe(_settle, finished, error)
        except RuntimeError:
            if not self.is_closed():  # closed since we looked
                raise

    def _close_executor(self) -> None:
        self._executor_shutdown_called = True
        if self._default_executor is not None:
            self._default_executor.shutdown(wait=False)
            self._default_executor = None  # only now: a signal's handler may have raised, and another close() comes here again


def _look_at(job: asyncio.Future[Any]) -> None:
    if not job.cancelled():
        job.exception()  # whoever asked for the job is told of it


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
