"""The default executor of a loop: a ThreadPoolExecutor by its face, a pool of threads behind it."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, Any

from cede.loop.threads.pool import ThreadJob, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from cede.core.scheduler.kernel import Kernel


class LoopThreads(concurrent.futures.ThreadPoolExecutor):
    """What ``run_in_executor(None, ...)`` of the loop `kernel` uses until a program sets another one.

    As many threads as a ThreadPoolExecutor has by default, called asyncio_0 and so on, started when they are needed.
    """

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(thread_name_prefix="asyncio")
        self.pool = WorkerPool(self._max_workers, "asyncio", kernel._hints())
        self._threads = self.pool.threads

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:  # type: ignore[override]
        """Have ``fn(*args, **kwargs)`` called on a thread. Raises RuntimeError after `shutdown`."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.pool.give(ThreadJob(future, fn, args, kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs; with `wait`, return when all are done, or given up where `cancel_futures` asks for it."""
        self._shutdown = True
        self.pool.close()
        if cancel_futures:
            self.pool.drop_jobs()
        if wait:
            for thread in list(self.pool.threads):
                thread.join()

    def __del__(self) -> None:
        pool = getattr(self, "pool", None)
        if pool is not None:
            pool.close()  # dropped without a shutdown, with the loop: the threads need not wait for ever
