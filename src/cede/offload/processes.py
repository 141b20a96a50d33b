"""Processes, for what computes: each has an interpreter of its own, and can be stopped."""

from __future__ import annotations

import pickle
import signal
import weakref
from collections.abc import Callable
from typing import Any

from cede.offload import worker
from cede.offload.errors import Unpicklable, WorkerDied, unpack_error
from cede.offload.pool import Pool
from cede.offload.process import Worker, end_all
from cede.offload.process import preparation as preparation
from cede.tasks.uncancelled_wait import Shelter

# How long workers that were asked to end may take for it, in seconds, before they are killed.
GOODBYE = 5.0


class ProcessPool(Pool):
    """Calls in processes of its own, at most `size` at once, each process one call after the other.

    A process is a fresh interpreter that has imported the program's main module, as multiprocessing's "spawn" does it: the function, its
    arguments and its result travel as pickles, so the function has to be found by its name in a module. Context variables do not travel.
    Processes are started when they are needed, and are used again. A cancelled call's process is killed, with all that it has started;
    one that dies is replaced, and its call raises WorkerDied. They have no standard input, do not hear Ctrl-C, and end with this
    process, however it ends.
    """

    kind = "process"

    def __init__(self, size: int | None = None, *, name: str | None = None, queue: int | None = None) -> None:
        super().__init__(size, name=name, queue=queue)
        self._started = 0
        self._idle: list[Worker] = []  # the one that was used last stands last
        self._workers: dict[Worker, None] = {}
        self._finalizer = weakref.finalize(self, end_all, self._workers)

    async def perform(self, function: Any, args: Any, kwargs: Any, over: Callable[[], object]) -> Any:
        """Do it in a process."""
        try:
            packed = pack_call(function, args, kwargs)
            doer = self._take()
        except BaseException:
            over()
            raise
        try:
            kind, payload = await doer.call(packed)
            if kind == worker.UNFIT:
                outcome(function, kind, payload)
        except WorkerDied:
            exitcode = await self._bury(doer, over, GOODBYE)  # it is about to end, and its status is worth the wait
            raise WorkerDied(describe_death(function, doer.pid, exitcode), doer.pid, exitcode) from None
        except BaseException:
            await self._bury(doer, over)
            raise
        self._idle.append(doer)
        over()
        return outcome(function, kind, payload)

    def _take(self) -> Worker:
        """A process that has nothing to do."""
        while self._idle:
            doer = self._idle.pop()
            if not doer.has_ended():
                return doer
            self._workers.pop(doer, None)  # it has died meanwhile, and no call with it
            doer.kill()
            doer.close()
        self._started += 1
        doer = Worker(f"cede-{self._name}-{self._started}")
        self._workers[doer] = None
        return doer

    async def _bury(self, doer: Worker, over: Callable[[], object], patience: float = 0.0) -> int | None:
        """Have it ended, in `patience` seconds by itself, then give its place back. Returns its exit status."""
        try:
            # Also where the caller's scope is cancelled: who is told that it is over shall find it so.
            with Shelter():
                if patience:
                    await doer.gone(patience)
                doer.kill()
                await doer.gone(GOODBYE)
        finally:
            self._workers.pop(doer, None)
            doer.kill()
            exitcode = doer.close()
            over()
        return exitcode

    async def end(self) -> None:
        """Let the processes end by themselves."""
        self._idle.clear()
        for doer in self._workers:
            doer.finish()
        for doer in list(self._workers):
            await doer.gone(GOODBYE)
        end_all(self._workers)

    def abandon(self) -> None:
        """Kill the processes. Those that work are given back by their calls, which are told by that."""
        idle = dict.fromkeys(self._idle)
        self._idle.clear()
        for doer in idle:
            self._workers.pop(doer, None)
        for doer in self._workers:
            doer.kill()
        end_all(idle)


def name_of(function: Any) -> str:
    """What to call it in a message."""
    return getattr(function, "__qualname__", None) or repr(function)


def pack_call(function: Any, args: Any, kwargs: Any) -> bytes:
    """The call, as it travels. Raises Unpicklable with a word on what to do."""
    try:
        return pickle.dumps((function, args, kwargs), pickle.HIGHEST_PROTOCOL)
    except Exception as failure:
        try:
            pickle.dumps(function, pickle.HIGHEST_PROTOCOL)
        except Exception:
            what = f"the function {name_of(function)} cannot be pickled: it has to be found by its name in a module"
        else:
            what = f"an argument of {name_of(function)} cannot be pickled"
        raise Unpicklable(f"{what} ({failure})") from failure


def outcome(function: Any, kind: bytes, payload: Any) -> Any:
    """What the answer says: the result, or the error that is to be raised."""
    if kind == worker.VALUE:
        try:
            return pickle.loads(payload)
        except Exception as failure:
            raise Unpicklable(f"what {name_of(function)} returned cannot be unpickled here: {failure!r}") from failure
    if kind == worker.ERROR:
        raise unpack_error(payload)
    if kind == worker.UNREAD:
        error = unpack_error(payload)
        raise Unpicklable(f"{name_of(function)}, or an argument of it, cannot be unpickled by the worker: {error!r}") from error
    if kind == worker.LEFT:
        status, how = pickle.loads(payload)
        raise WorkerDied(f"{name_of(function)} was to end the worker it ran in, by {how}", None, status)
    if kind == worker.UNFIT:
        raise RuntimeError("a worker could not be set up: the main module of the program cannot be imported there") from unpack_error(
            payload
        )
    raise Unpicklable(f"{name_of(function)} returned {bytes(payload).decode()}")


def describe_death(function: Any, pid: int, exitcode: int | None) -> str:
    """How a process ended that should not have."""
    if exitcode is None:
        how = "did not end in order"
    elif exitcode < 0:
        try:
            how = f"was killed by {signal.Signals(-exitcode).name}"
        except ValueError:
            how = f"was killed by signal {-exitcode}"
    else:
        how = f"ended with exit status {exitcode}"
    return f"worker process {pid} {how} before {name_of(function)} was done"
