"""Cluster: a client of a Dask scheduler on this loop, whose jobs fail, stop and end as tasks do.

Invariants
----------
* A job is begun at most once for each attempt, whatever Dask does (see `leases`), and there is one attempt more than `retries` at most.
* Whoever waits for a job hears of its result, its error, its worker's death or the scheduler's, and of one of them only.
* A job is sent to a scheduler that has the leases. One that was started anew at its address gets them first; a job that came before them
  was not begun, and is sent again.
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
from cede.cluster.leases import PREFIX, SILENT_AFTER, STOPPING, Leases, topic_of
from cede.cluster.remote import perform
from cede.cluster.serialize import pack_call
from cede.core.task.operation import new_waiter
from cede.flows.flow import Flow
from cede.flows.mapping import map as map_locally
from cede.offload.errors import Unpicklable, unpack_error
from cede.tasks.task_group import TaskGroup
from cede.tasks.uncancelled_wait import Shelter
from cede.tasks.wait import as_completed

logger = logging.getLogger("cede")

# How often is looked whether the client is connected again, and how often a job is sent again that was lost before it was begun.
LOOK_EVERY = 0.02
STRANGE_AT_MOST = 5
# A client says goodbye to a scheduler that answers; one that does not is left after so many seconds.
CLOSED_WITHIN = 2.0


class NeverBegun(Exception):
    """The scheduler did not know the job when a worker asked for its lease."""


class Cluster:
    """What `cede.cluster` returns; enter it by ``async with``, once."""

    def __init__(
        self, address: Any, *, workers: int | None, threads: int | None, timeout: float, retries: int, options: dict[str, Any]
    ) -> None:
        if not (address is None or isinstance(address, (str, Client)) or hasattr(address, "scheduler_address")):
            raise TypeError(
                f"cluster(): address must be a string such as 'tcp://host:8786', or a client or a cluster of Dask's, got {address!r}"
            )
        if address is not None and (workers is not None or threads is not None):
            raise ValueError("cluster(): workers and threads are for a local cluster; the one at an address has its own")
        for name in ("asynchronous", "set_as_default", "loop"):
            if name in options:
                raise TypeError(f"cluster(): {name} is cede's to say: leave it out")
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
            raise ValueError(f"cluster(): timeout must be a number of seconds above 0, got {timeout!r}")
        self.address = address
        self.timeout = timeout
        self.retries = checked_retries(retries)
        self.options = {"n_workers": workers, "threads_per_worker": threads, **options} if address is None else options
        self.client: Any = None
        self.local: Any = None
        self.registered: Any = None  # the connection by which the scheduler got the leases
        self.registering: Any = None
        self.deaths: dict[str, Any] = {}  # job -> the future that tells of its worker's death
        self.stopping: dict[Any, None] = {}
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
        options = self.options
        where = "the local cluster" if target is None else str(target)
        if target is None:
            options = {}
            self.local = LocalCluster(asynchronous=True, processes=True, **{"dashboard_address": "127.0.0.1:0", **self.options})
            await unhurried(self.local)
            target = self.local
        try:
            async with asyncio.timeout(self.timeout):
                if self.local is None and not isinstance(target, str):
                    target, options = await place_of(target, options)
                self.client = Client(target, asynchronous=True, set_as_default=False, timeout=self.timeout, **options)
                await self.client
                await self.register()
        except (TimeoutError, OSError, ValueError) as error:
            raise ConnectionError(
                f"no Dask scheduler could be reached at {where} within {self.timeout:g} s: is the address right, "
                "and does `dask scheduler` run there?"
            ) from error
        except ModuleNotFoundError as error:
            raise RuntimeError(
                f"the scheduler at {where} cannot import {error.name}: install cede[cluster] there and on the workers"
            ) from error

    async def register(self) -> None:
        """Bring the leases to the scheduler, and have it tell us of our jobs."""
        connection = self.client.scheduler_comm
        await self.client.register_plugin(Leases())
        self.client.subscribe_topic(topic_of(self.client.id), self.told)
        self.registered = connection

    async def connected(self) -> None:
        """Wait for a scheduler that has the leases: it may have been started anew. Raises ClusterLost where there is none in time."""
        while self.client.status != "running" or self.client.scheduler_comm is not self.registered:
            if self.registering is None:
                self.registering = asyncio.ensure_future(self.reconnected())
                self.registering.add_done_callback(read)
            await asyncio.shield(self.registering)

    async def reconnected(self) -> None:
        try:
            async with asyncio.timeout(self.timeout):
                while True:
                    if self.client.status not in ("running", "connecting", "newly-created"):
                        break
                    if self.client.status == "running":
                        try:
                            await self.register()
                            return
                        except OSError as error:
                            logger.debug("the scheduler has gone again: %r", error)
                    await asyncio.sleep(LOOK_EVERY)  # the client tells nobody
        except TimeoutError:
            pass
        finally:
            self.registering = None
        raise ClusterLost(f"the scheduler at {self.client.scheduler.address if self.client.scheduler else self.address} is gone")

    async def close(self) -> None:
        """End all of it. Any number of times."""
        if self.closed:
            return
        self.closed = True
        try:
            if self.stopping:
                await asyncio.wait(self.stopping, timeout=self.timeout)
            for task in (*self.stopping, *([] if self.registering is None else [self.registering])):
                task.cancel()
            if self.client is not None:
                await self.client.close(CLOSED_WITHIN)
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
        strange = 0
        while True:
            await self.connected()
            try:
                return await self.attempt(f"{PREFIX}{name}-{uuid.uuid4().hex}", call, is_coroutine_function(function))
            except ClusterWorkerDied as error:
                attempts -= 1
                if not attempts or error.exitcode is not None:
                    raise
                logger.info("%s is done again: %s", name, error)
            except NeverBegun:
                self.registered = None
                strange += 1
                if strange > STRANGE_AT_MOST:
                    raise ClusterLost(f"the scheduler has lost {name} {strange} times before it was begun") from None

    async def attempt(self, job: str, call: bytes, on_loop: bool) -> Any:
        """Once."""
        loop = asyncio.get_running_loop()
        died = self.deaths[job] = new_waiter(loop, self)
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
            try:
                return pickle.loads(value)
            except Exception as failure:
                raise Unpicklable(f"the result cannot be unpickled here: {failure!r}") from failure
        if kind == "error":
            raise unpack_error(value)
        if kind == "unread":
            raised = unpack_error(value)
            raise Unpicklable(f"the call cannot be unpickled on its worker: {raised!r}") from raised
        if kind == "left":
            worker, pid, status, how = value
            raise ClusterWorkerDied(f"the function was to end its worker {worker}, by {how}", worker, pid, status)
        if kind == "unknown":
            raise NeverBegun
        if kind == "refused":
            raise death(*value)
        raise ClusterLost("the work was stopped by somebody else")

    async def stop(self, job: str, future: Any, getter: Any) -> None:
        """Have the job stopped, and wait until it is. Cancelled again, only the wait ends."""
        task = asyncio.ensure_future(self.stopped(job, future, getter))
        self.stopping[task] = None
        task.add_done_callback(self.stopping.pop)
        with Shelter():
            await asyncio.shield(task)

    async def stopped(self, job: str, future: Any, getter: Any) -> None:
        """Ask until it has stopped; not one that does not answer any more."""
        answer = STOPPING
        try:
            while answer == STOPPING:
                async with asyncio.timeout(1.5 * SILENT_AFTER):
                    answer = await self.client.scheduler.cede_stop(job=job, client=self.client.id)
        except OSError as error:  # TimeoutError is one
            answer = "scheduler gone"
            logger.debug("job %s could not be stopped: %r", job, error)
        finally:
            if answer == "not here yet":
                await asyncio.wait([getter], timeout=SILENT_AFTER)  # it comes, and is refused
            self.let_go(future, getter)

    def let_go(self, future: Any, getter: Any) -> None:
        """The result is not wanted any more. Dask's own wait for it ends by that: cancelled half-way, it leaves errors nobody reads."""
        future.release()
        if not getter.done():
            self.stopping[getter] = None
            getter.add_done_callback(self.stopping.pop)
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
    with Shelter():
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


async def place_of(target: Any, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The address of the scheduler of a client or a cluster of Dask's, and the options with its security, unless that is given."""
    if getattr(target, "asynchronous", False):
        await target  # it may not have been started yet
    address = target.scheduler.address if isinstance(target, Client) else target.scheduler_address
    return str(address), {"security": getattr(target, "security", None), **options}


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
