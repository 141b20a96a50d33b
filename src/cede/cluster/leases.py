"""Leases: who may do a job, decided in one place. Runs in the scheduler, as a plugin of it.

Invariants
----------
* A lease is given at most once. The scheduler sends a job to another worker when it believes the first one dead; without a lease the
  job's function is not called there.
* A job that was cancelled before its lease was given is never given one, even where the cancellation comes before the job.
* Who waits for a job is told when the worker that has its lease is gone, unless the result is safe.
* Nothing is kept of a job that the scheduler has forgotten, nor of a client that is gone.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

logger = logging.getLogger("cede")

PREFIX = "cede-"
GRANTED = "granted"
# What a worker answers that has been asked to stop a job, while that goes on.
STOPPING = "stopping"
# A worker that does not answer for so many seconds, for its process is stopped or its machine gone, is not waited for.
SILENT_AFTER = 1.0


def topic_of(client: str) -> str:
    """The topic under which a client is told of its jobs."""
    return f"{PREFIX}{client}"


class Leases(SchedulerPlugin):  # type: ignore[misc]
    """One for each scheduler, however many clients use it."""

    name = "cede-leases"
    idempotent = True

    def __init__(self) -> None:
        self.scheduler: Any = None
        self.open: dict[str, str] = {}  # job -> client
        self.given: dict[str, tuple[str, str, int]] = {}  # job -> client, worker, pid
        self.banned: dict[str, str] = {}  # cancelled before they came: job -> client

    async def start(self, scheduler: Any) -> None:
        """Begin to answer."""
        self.scheduler = scheduler
        scheduler.handlers["cede_lease"] = self.lease
        scheduler.handlers["cede_stop"] = self.stop

    def update_graph(self, scheduler: Any, *, client: str, keys: Any, **kwargs: Any) -> None:
        """Jobs have come."""
        for key in keys:
            if isinstance(key, str) and key.startswith(PREFIX) and self.banned.pop(key, None) is None:
                self.open[key] = client

    async def lease(self, job: str, worker: str, pid: int) -> tuple[str, int | None]:
        """Asked by a worker before it begins: GRANTED, or the address of whoever has had the lease, "" for nobody: the job came when there
        were no leases here, for the scheduler was started anew.
        """
        client = self.open.pop(job, None)
        if client is not None:
            self.given[job] = (client, worker, pid)
            return GRANTED, None
        _, holder, holder_pid = self.given.get(job, ("", "", None))
        return holder, holder_pid

    async def stop(self, job: str, client: str) -> str:
        """Asked by a client that wants no more of the job. Returns what became of it, or STOPPING soon: then it is to ask again."""
        if self.open.pop(job, None) is not None:
            return "never begun"
        held = self.given.get(job)
        if held is None:
            self.banned[job] = client
            return "not here yet"
        try:
            async with asyncio.timeout(SILENT_AFTER):
                return str(await self.scheduler.rpc(held[1]).cede_stop(job=job))
        except TimeoutError:
            # It is told all the same, when it comes to itself.
            self.scheduler._ongoing_background_tasks.call_soon(self.stop_quietly, job, held[1])
            return "worker silent"
        except (OSError, ValueError):
            return "worker gone"

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """A job may be over."""
        if finish == "forgotten":
            self.open.pop(key, None)
            self.given.pop(key, None)

    def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
        """A worker is gone: tell who waits for what it had begun."""
        for job, (client, holder, pid) in list(self.given.items()):
            if holder != worker:
                continue
            state = scheduler.tasks.get(job)
            if state is not None and not (state.state == "memory" and state.who_has):
                scheduler.log_event(topic_of(client), {"job": job, "worker": worker, "pid": pid})

    def remove_client(self, scheduler: Any, client: str) -> None:
        """A client is gone: stop what it had begun, for nobody will read the result."""
        for jobs in (self.open, self.banned):
            for job in [job for job, owner in jobs.items() if owner == client]:
                del jobs[job]
        for job, (owner, worker, _) in list(self.given.items()):
            if owner == client:
                del self.given[job]
                scheduler._ongoing_background_tasks.call_soon(self.stop_quietly, job, worker)

    async def stop_quietly(self, job: str, worker: str) -> None:
        """Nobody waits for the answer."""
        try:
            await self.scheduler.rpc(worker).cede_stop(job=job)
        except (OSError, ValueError) as error:
            logger.debug("job %s could not be stopped on %s: %r", job, worker, error)
