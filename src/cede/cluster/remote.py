"""The worker's side: a job is begun with a lease only, and can be stopped.

Invariants
----------
* The function is called in one place of this module, after the lease was granted; the call is not even unpickled before.
* What is raised travels as a value: to Dask each job that was begun is a success. Whoever waits for it raises it. What is to end a process,
  as SystemExit is, ends neither this one nor the one that waits.
* A stopped coroutine is waited for; a thread is not, since nothing can stop it, but its place on the worker is taken until it returns.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import time
import weakref
from typing import Any

from distributed import get_worker
from distributed.worker_state_machine import SecedeEvent

from cede.cluster.leases import GRANTED, STOPPING
from cede.cluster.serialize import dumps, pack_result, unpack_call
from cede.offload.worker import exit_status, pack_error

_jobs: weakref.WeakKeyDictionary[Any, dict[str, Job]] = weakref.WeakKeyDictionary()

Outcome = tuple[str, Any]

# After so many seconds whoever wants a job stopped is told that this goes on.
ANSWER_AFTER = 0.3


class Job:
    """One call on this worker."""

    def __init__(self) -> None:
        self.asked = False
        self.cancelled = False
        self.task: asyncio.Task[Outcome] | None = None
        self.thread: Any = None

    async def stop(self) -> str:
        """What became of it, once that is known; STOPPING where that takes its time."""
        self.asked = True
        if self.thread is not None and self.task is None and not self.thread.done():
            return "never begun" if self.thread.cancel() else "runs to its end"
        if self.task is not None:
            if not self.cancelled:
                self.cancelled = True
                self.task.cancel()
            _, pending = await asyncio.wait([self.task], timeout=ANSWER_AFTER)
            if pending:
                return STOPPING
        return "stopped"


def jobs_of(worker: Any) -> dict[str, Job]:
    """The jobs of this worker, which from now on can be told to stop them."""
    jobs = _jobs.get(worker)
    if jobs is None:
        jobs = _jobs[worker] = {}
        here = jobs

        async def stop(job: str) -> str:
            found = here.get(job)
            return "over" if found is None else await found.stop()

        worker.handlers["cede_stop"] = stop
    return jobs


async def perform(name: str, call: bytes, on_loop: bool) -> Outcome:
    """Do it: ("result", pickled), ("error", packed), ("unread", packed error), ("left", (worker, pid, status, how)), ("stopped", None);
    or not: ("refused", (worker, pid)), ("unknown", None).
    """
    worker = get_worker()
    jobs = jobs_of(worker)
    job = jobs[name] = Job()
    try:
        answer = await worker.scheduler.cede_lease(job=name, worker=worker.address, pid=os.getpid())
        if not isinstance(answer, (tuple, list)) or not answer[0]:
            return "unknown", None  # the scheduler was started anew, and has no leases yet, or had none when the job came
        holder, pid = answer
        if holder != GRANTED:
            return "refused", (holder, pid)
        if job.asked:
            return "stopped", None
        if on_loop:
            # Coroutines need no thread: they leave their place to others, and are bounded by whoever sends them.
            worker.handle_stimulus(SecedeEvent(key=name, compute_duration=0.0, stimulus_id=f"{name}-{time.time()}"))
            return located(await finish(job, run_coroutine(call)), worker)
        context = contextvars.copy_context()
        job.thread = worker.executors["default"].submit(context.run, run_function, call)
        try:
            outcome: Outcome = await asyncio.wrap_future(job.thread)
        except asyncio.CancelledError:
            if job.asked and job.thread.cancelled():
                return "stopped", None
            raise
        if outcome[0] == "coroutine":  # a lambda, or a partial of something odd
            outcome = ("stopped", None) if job.asked else await finish(job, conclude(outcome[1]))
        return located(outcome, worker)
    finally:
        del jobs[name]


async def finish(job: Job, work: Any) -> Outcome:
    """Run a coroutine as the task that `stop` cancels; where the worker itself ends, it ends too."""
    job.task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([job.task])
    finally:
        job.task.cancel()
    if job.task.cancelled():
        if job.asked:
            return "stopped", None
        return failed(asyncio.CancelledError("the coroutine was cancelled on its worker"))
    return job.task.result()


def failed(error: BaseException) -> Outcome:
    """What is raised, as a value: by cloudpickle, as calls are, so that classes of the program's main file arrive as themselves."""
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        return "left", (exit_status(error), repr(error))
    return "error", pack_error(error, dumps)


def located(outcome: Outcome, worker: Any) -> Outcome:
    """With the name of the worker, where that belongs to it."""
    kind, value = outcome
    return (kind, (worker.address, os.getpid(), *value)) if kind == "left" else outcome


async def run_coroutine(call: bytes) -> Outcome:
    """On the loop."""
    try:
        function, args, kwargs = unpack_call(call)
    except Exception as error:
        return "unread", pack_error(error, dumps)
    try:
        awaitable = function(*args, **kwargs)
    except BaseException as error:
        return failed(error)
    return await conclude(awaitable)


async def conclude(awaitable: Any) -> Outcome:
    """What a coroutine comes to."""
    try:
        return "result", pack_result(await awaitable)
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return failed(error)


def run_function(call: bytes) -> Outcome:
    """On a thread."""
    try:
        function, args, kwargs = unpack_call(call)
    except Exception as error:
        return "unread", pack_error(error, dumps)
    try:
        result = function(*args, **kwargs)
        if inspect.iscoroutine(result):
            return "coroutine", result
        return "result", pack_result(result)
    except BaseException as error:
        return failed(error)
