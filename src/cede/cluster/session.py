"""Cluster: a client of a Dask scheduler on this loop, whose jobs fail, stop and end as tasks do.

Invariants
----------
* A job is begun at most once for each attempt, whatever Dask does (see `leases`), and there is one attempt more than `retries` at most.
* Whoever waits for a job hears of its result, its error, its worker's death or the scheduler's, and of one of them only.
* The block is not left before everything it started has ended: jobs, the client, and a local cluster's processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import pickle
import uuid
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from distributed import Client, LocalCluster
from distributed.client import FutureCancelledError, FuturesCancelledError
from distributed.scheduler import KilledWorker

from cede.cluster.current import current
from cede.cluster.errors import ClusterLost, ClusterWorkerDied
from cede.cluster.leases import PREFIX, Leases, topic_of
from cede.cluster.remote import perform
from cede.cluster.travel import pack_call
from cede.offload.errors import unpack_error
from cede.tools.flows.flow import Flow
from cede.tools.flows.mapping import map as map_locally
from cede.tools.groups.scopes import CancelScope
from cede.tools.groups.taskgroup import TaskGroup
from cede.tools.groups.waiting import as_completed

logger = logging.getLogger("cede")


class Cluster:
    """What `cede.cluster` returns; enter it by ``async with``, once."""

    def __init__(
        self, address: str | None, *, workers: int | None, threads: int | None, timeout: float, retries: int, options: dict[str, Any]
    ) -> None:
        if address is not None and not isinstance(address, str):
            raise TypeError(f"cluster(): address must be a string such as 'tcp://host:8786', got {address!r}")
        if address is not None and (workers is not None or threads is not None or options):
            raise ValueError("cluster(): workers, threads and options are for a local cluster; the one at an address has its own")
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
            raise ValueError(f"cluster(): timeout must be a number of seconds above 0, got {timeout!r}")
        self.address = address
        self.timeout = timeout
        self.retries = checked_retries(retries)
        self.options = {"n_workers": workers, "threads_per_worker": threads, **options}
        self.client: Any = None
        self.local: Any = None
        self.deaths: dict[str, Any] = {}  # job -> the future that tells of its worker's death
        self.stopping: set[Any] = set()
        self.entered = False
        self.closed = False
        self.token: Any = None

    # -- the block

    async def __aenter__(self) -> Self:
        if self.entered:
            raise RuntimeError("this cluster was entered already: make a new one for each block")
        self.entered = True
        try:
            await self.open()
        except BaseException:
            await unhurried(self.close())
            raise
        self.token = current.set(self)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(ValueError):  # left in another context than it was entered in
            current.reset(self.token)
        await unhurried(self.close())

    async def open(self) -> None:
        """Start what is local, connect, and bring the leases to the scheduler."""
        target: Any = self.address
        if target is None:
            self.local = LocalCluster(asynchronous=True, processes=True, **{"dashboard_address": "127.0.0.1:0", **self.options})
            await unhurried(self.local)
            target = self.local
        where = "the local cluster" if self.address is None else self.address
        try:
            async with asyncio.timeout(self.timeout):
                self.client = Client(target, asynchronous=True, set_as_default=False, timeout=self.timeout)
                await self.client
                await self.client.register_plugin(Leases())
        except (TimeoutError, OSError, ValueError) as error:
            raise ConnectionError(
                f"no Dask scheduler could be reached at {where} within {self.timeout:g} s: is the address right, "
                "and does `dask scheduler` run there?"
            ) from error
        except ModuleNotFoundError as error:
            raise RuntimeError(
                f"the scheduler at {where} cannot import {error.name}: install cede[cluster] there and on the workers"
            ) from error
        self.client.subscribe_topic(topic_of(self.client.id), self.told)

    async def close(self) -> None:
        """End all of it. Any number of times."""
        if self.closed:
            return
        self.closed = True
        try:
            if self.stopping:
                await asyncio.wait(self.stopping, timeout=self.timeout)
            for task in list(self.stopping):
                task.cancel()
            if self.client is not None:
                await self.client.close()
        finally:
            if self.local is not None:
                await self.local.close()

    # -- work

    async def run(self, function: Any, /, *args: Any, retries: int | None = None, **kwargs: Any) -> Any:
        """``function(*args, **kwargs)`` on a worker: a coroutine function on its loop, any other on one of its threads. Its result, or its
        error with the remote traceback as its cause.

        retries: how often it is done again where its worker dies; the cluster's own number by default. Cancelled, a coroutine is cancelled
        on its worker and waited for; a function that runs on a thread runs to its end, and the wait stops. Raises ClusterWorkerDied,
        ClusterLost, and Unpicklable where something cannot travel.
        """
        attempts = 1 + (self.retries if retries is None else checked_retries(retries))
        if not callable(function):
            hint = ": give the coroutine function and its arguments, a coroutine cannot travel" if inspect.iscoroutine(function) else ""
            if hint:
                function.close()
            raise TypeError(f"a function or a coroutine function was expected, got {function!r}{hint}")
        if self.closed or self.client is None:
            raise RuntimeError("the cluster is not open: use it inside of its block")
        call = pack_call(function, args, kwargs)
        name = getattr(inspect.unwrap(function), "__name__", type(function).__name__).strip("<>")
        while True:
            try:
                return await self.attempt(f"{PREFIX}{name}-{uuid.uuid4().hex}", call, is_coroutine_function(function))
            except ClusterWorkerDied as error:
                attempts -= 1
                if not attempts:
                    raise
                logger.info("%s is done again: %s", name, error)

    async def attempt(self, job: str, call: bytes, on_loop: bool) -> Any:
        """Once."""
        loop = asyncio.get_running_loop()
        died = self.deaths[job] = loop.create_future()
        future = self.client.submit(perform, job, call, on_loop, key=job, pure=False, retries=0)
        getter = asyncio.ensure_future(fetched(future))
        over = True
        try:
            await asyncio.wait((getter, died), return_when=asyncio.FIRST_COMPLETED)
            if not getter.done():
                raise death(*died.result())
            return self.outcome(getter, died)
        except asyncio.CancelledError:
            if not getter.done() and not died.done():
                over = False
                await self.stop(job, future, getter)
            raise
        finally:
            del self.deaths[job]
            if over:
                self.let_go(future, getter)

    def outcome(self, getter: Any, died: Any) -> Any:
        """What the worker says, or what became of it."""
        error = asyncio.CancelledError("the client was closed") if getter.cancelled() else getter.exception()
        if error is None and getter.result()[0] == "lost":
            error = getter.result()[1]
        if isinstance(error, asyncio.CancelledError):
            if died.done():
                raise death(*died.result())
            raise ClusterLost(f"the scheduler has dropped the work, or is gone: {error}") from None
        if isinstance(error, KilledWorker):
            raise death(error.last_worker.address, None) from error
        if error is not None:
            raise error
        kind, value = getter.result()
        if kind == "result":
            return pickle.loads(value)
        if kind == "error":
            raise unpack_error(value)
        if kind == "refused":
            raise death(*value)
        raise ClusterLost("the work was stopped by somebody else")

    async def stop(self, job: str, future: Any, getter: Any) -> None:
        """Have the job stopped, and wait until it is. Cancelled again, only the wait ends."""
        task = asyncio.ensure_future(self.stopped(job, future, getter))
        self.stopping.add(task)
        task.add_done_callback(self.stopping.discard)
        with CancelScope(shield=True):
            await asyncio.shield(task)

    async def stopped(self, job: str, future: Any, getter: Any) -> None:
        answer = "scheduler gone"
        try:
            answer = await self.client.scheduler.cede_stop(job=job, client=self.client.id)
        except OSError as error:
            logger.debug("job %s could not be stopped: %r", job, error)
        finally:
            if answer == "not here yet":
                await asyncio.wait([getter], timeout=self.timeout)  # it comes, and is refused
            self.let_go(future, getter)

    def let_go(self, future: Any, getter: Any) -> None:
        """The result is not wanted any more. Dask's own wait for it ends by that: cancelled half-way, it leaves errors nobody reads."""
        future.release()
        if not getter.done():
            self.stopping.add(getter)
            getter.add_done_callback(self.stopping.discard)
        getter.add_done_callback(read)

    def told(self, event: Any) -> None:
        """The scheduler says that a worker which had begun a job is gone."""
        _, message = event
        died = self.deaths.get(message["job"])
        if died is not None and not died.done():
            died.set_result((message["worker"], message["pid"]))

    # -- work in numbers

    def TaskGroup(self, *, limit: int | None = None, retries: int | None = None) -> ClusterTaskGroup:
        """``async with c.TaskGroup() as group``: as `cede.TaskGroup`, and its ``create_task(function, *args)`` runs on the cluster."""
        return ClusterTaskGroup(self, limit, retries)

    def map(
        self,
        function: Any,
        *iterables: Any,
        limit: int = 100,
        ordered: bool = True,
        progress: bool = False,
        retries: int | None = None,
    ) -> Flow[Any]:
        """`cede.map`, on the cluster: at most `limit` items are taken from the iterables and not yet read as results."""
        if not callable(function):
            raise TypeError(f"map(): function must be callable, got {function!r}")
        call = functools.partial(self.run, function, retries=retries)
        return map_locally(call, *iterables, limit=limit, ordered=ordered, progress=progress)

    def as_completed(self, awaitables: Iterable[Any], *, timeout: float | None = None, limit: int | None = None) -> Any:
        """`cede.as_completed`, over tasks of a group or calls of `run`."""
        return as_completed(awaitables, timeout=timeout, limit=limit)

    async def workers(self) -> dict[str, Any]:
        """The workers there are: address -> what the scheduler knows of it."""
        return dict((await self.client.scheduler.identity())["workers"])

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open" if self.client is not None else "not entered"
        return f"<cluster {self.address or 'local'} {state}, {len(self.deaths)} jobs>"


class ClusterTaskGroup:
    """`cede.TaskGroup` whose tasks wait for work on a cluster."""

    def __init__(self, cluster: Cluster, limit: int | None, retries: int | None) -> None:
        self.cluster = cluster
        self.retries = cluster.retries if retries is None else checked_retries(retries)
        self.group = TaskGroup(limit=limit)

    async def __aenter__(self) -> Self:
        await self.group.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> Any:
        try:
            return await self.group.__aexit__(kind, error, trace)
        finally:
            error = trace = None

    def create_task(self, function: Any, /, *args: Any, name: str | None = None, **kwargs: Any) -> Any:
        """Run ``function(*args, **kwargs)`` on a worker, as a task of the group."""
        if inspect.iscoroutine(function):
            function.close()
            raise TypeError("create_task(): give the coroutine function and its arguments, a coroutine cannot travel to a worker")
        return self.group.create_task(self.cluster.run(function, *args, retries=self.retries, **kwargs), name=name)

    def cancel(self) -> None:
        """Stop the tasks and the block, as ``TaskGroup.cancel``."""
        self.group.cancel()


async def unhurried(work: Any) -> None:
    """Wait for what must come to its end, or leave processes behind. A cancellation is raised afterwards."""
    task = asyncio.ensure_future(work)
    cancelled = None
    with CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as request:
                cancelled = request
    try:
        if cancelled is not None:
            if not task.cancelled() and task.exception() is not None:
                logger.error("the cluster could not start or end in order: %r", task.exception())
            raise cancelled
        task.result()
    finally:
        cancelled = None


def read(task: Any) -> None:
    """So that nobody complains that nobody did."""
    if not task.cancelled():
        task.exception()


async def fetched(future: Any) -> Any:
    """The worker's answer, or ("lost", why)."""
    try:
        return await future._result()
    except (FutureCancelledError, FuturesCancelledError) as error:
        return "lost", asyncio.CancelledError(str(error))


def death(worker: str, pid: int | None) -> ClusterWorkerDied:
    process = "" if pid is None else f" (process {pid} there)"
    return ClusterWorkerDied(
        f"the worker {worker or 'that had the work'}{process} was gone before its result was here: "
        "whether the work had an effect is not known",
        worker,
        pid,
    )


def is_coroutine_function(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def checked_retries(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"retries must be a whole number, got {value!r}")
    if value < 0:
        raise ValueError(f"retries must be 0 or more, got {value!r}")
    return value
