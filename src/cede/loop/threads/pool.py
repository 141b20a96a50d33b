# cython: auto_pickle=False
"""A pool of threads, each handed its next job directly.

A pool around a queue pays for a semaphore, a condition and a future of its own for every job. Here a job is given to a parked worker, the
one that rested last, and what comes out is posted to the loop's inbox: one object a job, and one wake-up each way, or none where both sides
look out for each other (see spin.h).

Invariants
----------
* A worker is in `parked` from the moment it finds no job until somebody takes it out, and whoever takes it out gives it a job, or tells it
  to go. Both happen in one step (under `lock` uncompiled, under the interpreter lock compiled): no job can be left behind between the two.
* Jobs begin in the order in which they were handed in. A job that was cancelled before a worker came to it is never run.
* A pool refers to no loop, except through the jobs it has not finished: a dropped loop can be collected while its workers are parked.
* Every job handed in is run before the last worker goes, unless `drop_jobs` was called.
* A job is counted as ended before whoever waits for it can know of its end: what is told of a pool is never behind what its callers saw.
* A signal's handler may raise wherever a call ends. It leaves no lock held, no worker roused without being told so, and no worker counted
  that has no thread. A job that was being handed in has then been taken in, and runs, or is not there at all.

The threads are no daemons: the interpreter's end waits until every job that was handed in has been done, as it does for concurrent.futures,
by the same list of threads to tell and to wait for.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections import deque
from concurrent.futures import thread as pool_module
from typing import Any

from cede.core.scheduler.gil_hints import GilHints
from cede.core.scheduler.kernel import Kernel
from cede.core.scheduler.run_queue import OPEN
from cede.core.task.handle import Runnable

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import monotonic

    DONE, FAILED, CANCELLED = range(3)  # how a job ends

# Looking out for much longer than it takes to wake a thread gains nothing; for less, two that sleep in turns never find each other awake.
SPIN = 100e-6

# Whoever was served within this time expects to be again, and looks out for it.
RECENT = 250e-6


def several_cpus() -> bool:
    """Whether two threads of this process can run at the same time."""
    try:
        return len(os.sched_getaffinity(0)) > 1
    except AttributeError:
        return (os.cpu_count() or 1) > 1


@cython.trashcan(True)
@cython.cclass
class Job(Runnable):
    """A function that a worker is to call."""

    if not cython.compiled:
        is_task = False

    function: Any
    args: Any
    future: Any  # who waits for it
    pool: Any  # these two are set when a pool takes the job in
    began: float

    def perform(self) -> int:
        """On the worker's thread. Whatever the function raises is kept for whoever waits."""
        raise NotImplementedError

    def give_up(self) -> int:
        """It will not be called."""
        raise NotImplementedError


class LoopJob(Job):
    """A job whose outcome goes to a future of a loop, through the loop's inbox, where it is its own entry."""

    kernel: Kernel
    result: Any
    error: Any
    dropped: bool

    def __init__(self, kernel: Kernel, future: Any, function: Any, args: Any) -> None:
        self.kernel = kernel
        self.future = future
        self.function = function
        self.args = args
        self.result = None
        self.error = None
        self.dropped = False

    def perform(self) -> int:
        function, args = self.function, self.args
        self.function = self.args = None
        if not self.future.done():
            try:
                self.result = function(*args)
            except BaseException as error:
                self.error = error
            function = args = None
            self.pool.count(CANCELLED if self.future.done() else DONE if self.error is None else FAILED)
            self.post()
        else:
            self.pool.count(CANCELLED)
        if not cython.compiled:
            del self  # the error's traceback holds this frame
        return 0

    def post(self) -> int:
        kernel = self.kernel
        if kernel._state == OPEN:  # nobody waits on a closed one
            if cython.compiled:
                kernel._inbox.gil_hints.released = 0
            kernel._inbox.post(self)
        return 0

    def give_up(self) -> int:
        self.function = self.args = None
        self.dropped = True
        self.pool.count(CANCELLED)
        return self.post()

    if not cython.compiled:

        again = True

        @property
        def begun(self) -> bool:
            """Whether its outcome has been told."""
            return self.future is None

    def run_ready(self) -> int:
        future, result, error = self.future, self.result, self.error
        if cython.compiled:
            self.future = self.result = self.error = None
        self.pool.prompt = monotonic() - self.began < RECENT
        if not future.done():
            if self.dropped:
                future.cancel()
            elif error is None:
                future.set_result(result)
            else:
                future.set_exception(as_asyncio_has_it(error))
        elif not cython.compiled:
            future.wake()  # told by half, before an interrupt
        if not cython.compiled:
            self.future = self.result = self.error = None
        future = result = error = None
        return 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self.future!r}>"


class ThreadJob(Job):
    """A job whose outcome goes to a ``concurrent.futures.Future``."""

    options: Any

    def __init__(self, future: Any, function: Any, args: Any, options: Any) -> None:
        self.future = future
        self.function = function
        self.args = args
        self.options = options

    def perform(self) -> int:
        function, args, options, future = self.function, self.args, self.options, self.future
        self.function = self.args = self.options = self.future = None
        if future.set_running_or_notify_cancel():
            try:
                result = function(*args, **options)
            except BaseException as error:
                self.pool.count(FAILED)
                future.set_exception(error)
            else:
                self.pool.count(DONE)
                future.set_result(result)
        else:  # cancelled before we came to it
            self.pool.count(CANCELLED)
        function = args = options = future = result = None
        return 0

    def give_up(self) -> int:
        self.pool.count(CANCELLED)
        self.future.cancel()
        return 0


def as_asyncio_has_it(error: Any) -> Any:
    """`error`, or asyncio's twin of an exception that concurrent.futures has under the same name."""
    if type(error) is concurrent.futures.CancelledError:
        return asyncio.CancelledError(*error.args).with_traceback(error.__traceback__)
    if type(error) is concurrent.futures.InvalidStateError:
        return asyncio.InvalidStateError(*error.args).with_traceback(error.__traceback__)
    return error


class Worker:
    """One thread of a pool."""

    pool: Any
    job: Any
    born: bool
    leaving: bool
    soon: bool

    def __init__(self, pool: WorkerPool, job: Any) -> None:
        self.pool = pool
        self.job = job
        self.born = False
        self.leaving = False
        self.soon = False
        if cython.compiled:
            make_bed(self)  # type: ignore # noqa: F821
        else:
            self.parker = threading.Lock()
            self.parker.acquire()

    if cython.compiled:

        def __dealloc__(self) -> None:
            free_bed(self)  # type: ignore # noqa: F821

    def serve(self) -> None:
        """The thread's whole life."""
        pool = self.pool
        job = pool.first_job(self)
        while job is not None:
            self.job = None
            job.perform()
            job = None  # what it holds goes now, not when the next one comes
            job = pool.next_job(self)
            if job is None and not self.leaving:
                self.park()
                job = self.job
        pool.workers.discard(self)

    def park(self) -> int:
        """Until roused: with a job, or, where there is none, to go."""
        if cython.compiled:
            began = monotonic()
            sleep(self, self.pool.gil_hints, SPIN if self.soon and self.pool.may_spin else 0.0)  # type: ignore # noqa: F821
            self.soon = monotonic() - began < RECENT
        else:
            self.parker.acquire()
        return 0

    def unpark(self) -> int:
        """Once each time that it parks, by whoever took it out of `parked`."""
        if cython.compiled:
            wake(self)  # type: ignore # noqa: F821
        else:
            self.parker.release()
        return 0

    def put(self, item: Any) -> None:
        """What concurrent.futures calls for each thread at the end of the program: finish what there is, and go."""
        self.pool.close()


class WorkerPool:
    """At most `limit` threads called `prefix`_0 and so on, started as jobs come in that nobody is free for."""

    def __init__(self, limit: int, prefix: str, gil_hints: GilHints) -> None:
        self.limit = limit
        self.prefix = prefix
        self.gil_hints = gil_hints
        self.jobs: deque[Any] = deque()
        self.parked: list[Any] = []
        self.workers: set[Any] = set()
        self.threads: set[Any] = set()
        self.started = 0
        self.closed = False
        self.may_spin = several_cpus()
        self.prompt = False  # the last job's outcome came soon
        self.given = self.done = self.failed = self.cancelled = 0
        self.waits = 0  # jobs that waited for a worker
        self.waited = self.longest = 0.0
        self.lock: Any = None if cython.compiled else threading.RLock()  # a finalizer may come in between

    def call(self, kernel: Kernel, future: Any, function: Any, args: Any) -> None:
        """Have ``function(*args)`` called, and `future`, of the loop `kernel`, told. Raises as `give` does."""
        self.give(LoopJob(kernel, future, function, args))
        if self.prompt and self.may_spin:
            kernel.expect_post(SPIN)

    def give(self, job: Any) -> None:
        """Take `job` in. Raises RuntimeError after `close`, at the end of the program, and where no thread can be started."""
        if pool_module._shutdown:  # type: ignore[attr-defined]
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        if cython.compiled:
            worker = self.place(job)
            if worker is not None:
                self.start(worker)
            return
        try:
            with self.lock:
                worker = self.place(job)
            if worker is not None:
                self.start(worker)
        except BaseException:
            self.take_back(job)
            raise

    def place(self, job: Any) -> Any:
        """Give `job` to a parked worker, or have it wait; else the new worker that must be started for it."""
        if self.closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        job.pool = self
        job.began = monotonic()
        if self.parked:
            at = len(self.parked) - 1
            # No call stands between here and the rousing: a worker that left the list and sleeps on would never be found again.
            worker = self.parked[at]
            del self.parked[at]
            self.given += 1
            worker.job = job
            if cython.compiled:
                worker.unpark()
            else:
                worker.parker.release()
            return None
        if len(self.workers) >= self.limit:
            self.given += 1
            self.jobs.append(job)
            return None
        worker = Worker(self, job)
        self.given += 1
        self.workers.add(worker)
        return worker

    def start(self, worker: Any) -> int:
        job = worker.job
        thread: Any = None
        try:
            thread = threading.Thread(name=f"{self.prefix}_{self.started}", target=worker.serve)
            self.started += 1
            thread.start()
            self.enter(thread, worker)
        except BaseException:
            if not self.take_back(job):
                self.enter(thread, worker)  # it lives: the signal came too late
            raise
        return 0

    def enter(self, thread: Any, worker: Any) -> int:
        """A thread is there: it is to be told, and waited for, at the end."""
        self.threads.add(thread)
        pool_module._threads_queues[thread] = worker  # type: ignore[attr-defined, index]
        return 0

    def take_back(self, job: Any) -> bool:
        """Give back a job whose worker has no thread, or one that has not begun: whether that was so. That worker leaves."""
        if cython.compiled:
            return self.unplace(job)
        with self.lock:
            return self.unplace(job)

    def unplace(self, job: Any) -> bool:
        for item in list(self.workers):
            worker = item
            if worker.job is job and not worker.born:
                worker.job = None
                self.workers.discard(worker)
                self.given -= 1
                return True
        return False

    def first_job(self, worker: Any) -> Any:
        """On the thread of `worker`: what it was started for. None where that has been taken back, and it is to leave."""
        if not cython.compiled:
            self.lock.acquire()
        worker.born = True
        job = worker.job
        if not cython.compiled:
            self.lock.release()
        return job

    def next_job(self, worker: Any) -> Any:
        """The next job; None where `worker` is to rest, or to leave. On its own thread, where no signal's handler runs."""
        if not cython.compiled:
            self.lock.acquire()
        try:
            if self.jobs:
                job = self.jobs.popleft()
                waited = monotonic() - job.began
                self.waits += 1
                self.waited += waited
                self.longest = max(self.longest, waited)
                return job
            if self.closed:
                worker.leaving = True
            else:
                if cython.compiled:
                    go_to_bed(worker)  # type: ignore # noqa: F821
                self.parked.append(worker)
            return None
        finally:
            if not cython.compiled:
                self.lock.release()

    def close(self) -> None:
        """Take no more jobs; the workers go when all are done. May be called again, where a signal's handler ended the first call."""
        if cython.compiled:
            self.dismiss()
        else:
            with self.lock:
                self.dismiss()

    def dismiss(self) -> int:
        self.closed = True
        while self.parked:
            at = len(self.parked) - 1
            worker = self.parked[at]
            del self.parked[at]
            if cython.compiled:
                worker.unpark()
            else:
                worker.parker.release()
        return 0

    def drop_jobs(self) -> None:
        """Give up the jobs that nobody has begun."""
        job = None
        try:
            while True:
                job = self.oldest()
                if job is None:
                    return
                job.give_up()
        except BaseException:
            if job is not None:
                job.give_up()
            raise

    def oldest(self) -> Any:
        """Take the job out that has waited longest, None where none waits."""
        if cython.compiled:
            return self.jobs.popleft() if self.jobs else None
        job = None
        with self.lock:
            if self.jobs:
                job = self.jobs[0]
                del self.jobs[0]
        return job

    def count(self, outcome: int) -> int:
        """A job is at its end."""
        if cython.compiled:
            return self.add(outcome)
        with self.lock:
            return self.add(outcome)

    def add(self, outcome: int) -> int:
        if outcome == DONE:
            self.done += 1
        elif outcome == FAILED:
            self.failed += 1
        else:
            self.cancelled += 1
        return 0

    def told(self) -> dict[str, Any]:
        """What it does and has done, in the words of ``cede.offload.pool.PoolStatistics``; `waiting` are the functions that wait."""
        if cython.compiled:
            return self.tell()
        with self.lock:
            return self.tell()

    def tell(self) -> dict[str, Any]:
        queue = list(self.jobs)
        waiting: list[Any] = []
        since = 0.0
        for item in queue:
            job = item
            if job.future.done():
                continue  # cancelled
            if not waiting:
                since = monotonic() - job.began
            waiting.append((job.function, job.args))
        return {
            "size": self.limit,
            "busy": self.given - self.done - self.failed - self.cancelled - len(queue),
            "queued": len(waiting),
            "done": self.done,
            "failed": self.failed,
            "cancelled": self.cancelled,
            "longest_wait": self.longest,
            "mean_wait": self.waited / self.waits if self.waits else 0.0,
            "waiting_since": since,
            "waiting": waiting,
        }

    def busy_threads(self) -> list[threading.Thread]:
        """The threads that are inside a job."""
        parked = {id(worker) for worker in self.parked}
        busy = {id(worker) for worker in list(self.workers)} - parked
        queues = pool_module._threads_queues  # type: ignore[attr-defined]
        return [thread for thread in list(self.threads) if thread.is_alive() and id(queues.get(thread)) in busy]
