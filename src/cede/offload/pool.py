"""Pools: how much of something is done at once, who waits for it, and what it came to.

Invariants
----------
* At most `size` calls are under way. A call keeps its place until its work has stopped, which may be after its caller was cancelled.
* A call ends as exactly one of done, failed, cancelled and refused. Refused is what never got a place, for the queue was full or the pool
  closed.
* A pool does not keep its loop alive, and is closed with it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from cede.core.task.operation import new_waiter
from cede.offload.call_site import calling_line
from cede.offload.loop_state import loop_state_of
from cede.sync.limiter import CapacityLimiter

T = TypeVar("T")
P = ParamSpec("P")

logger = logging.getLogger("cede")

# A pool is called saturated when somebody has waited this many seconds for a place; then, at most this often, it says so.
SATURATED_AFTER = 1.0
SAY_EVERY = 30.0
CALLERS_NAMED = 3


class PoolFull(RuntimeError):
    """A pool's queue holds as many as it was told to hold."""


@dataclass(frozen=True)
class PoolStatistics:
    """One pool at this moment, and since it was made. Times are in seconds.

    ``callers`` tells who waits: a line of code and how many calls of it, most first.
    """

    name: str
    kind: str
    size: int
    busy: int
    queued: int
    done: int
    failed: int
    cancelled: int
    refused: int
    longest_wait: float
    mean_wait: float
    waiting_since: float
    callers: tuple[tuple[str, int], ...]


class Pool:
    """At most `size` calls at once, in the order in which they came; the others wait, at most `queue` of them (None: any number).

    size: None means one for each processor that this process may use. name: for statistics and logs. What a call is, the kind of pool
    says. A pool belongs to the loop that first uses it, and is closed by ``async with``, by `aclose`, or with that loop.

    Raises TypeError or ValueError for a `size` or a `queue` that is no number above 0.
    """

    kind = "pool"

    def __init__(self, size: int | None = None, *, name: str | None = None, queue: int | None = None) -> None:
        self._size = processors() if size is None else checked_count(size, "size")
        self._queue_limit = None if queue is None else checked_count(queue, "queue")
        self._name = self.kind if name is None else str(name)
        self._loop: weakref.ref[asyncio.AbstractEventLoop] | None = None
        self._places = CapacityLimiter()
        self._done = self._failed = self._cancelled = self._refused = 0
        self._waits = 0
        self._waited = self._longest = 0.0
        self._said = -SAY_EVERY
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False
        self._empty: asyncio.Future[None] | None = None

    # -- calls

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """``function(*args, **kwargs)`` done by this pool; its result, or its error.

        Cancelled, it stops waiting, and the work too where that can be done. Raises PoolFull where the queue is full, RuntimeError where
        the pool is closed or belongs to another loop.
        """
        return await self.call(function, args, kwargs, None)  # type: ignore[no-any-return]

    async def call(self, function: Any, args: Any, kwargs: Any, over: Callable[[], object] | None) -> Any:
        """`run`, which also calls `over` once, when nothing of the call is under way any more."""
        placed = False
        try:
            self._bind()
            if not self._places.take(self._size):
                await self._queue(function)
            placed = True
            result = await self.perform(function, args, kwargs, self.leave if over is None else functools.partial(self._leave_with, over))
        except asyncio.CancelledError:
            self._cancelled += 1
            raise
        except BaseException:
            if placed:
                self._failed += 1
            else:
                self._refused += 1
            raise
        finally:
            if not placed and over is not None:
                over()
        self._done += 1
        return result

    async def perform(self, function: Any, args: Any, kwargs: Any, over: Callable[[], object]) -> Any:
        """Do it, and call `over` once, when nothing of it is under way any more."""
        raise NotImplementedError

    def leave(self) -> None:
        """The work of a call has stopped."""
        self._places.leave()
        if self._empty is not None and not self._places.busy and not self._empty.done():
            self._empty.set_result(None)

    def _leave_with(self, over: Callable[[], object]) -> None:
        try:
            over()
        finally:
            self.leave()

    async def _queue(self, function: Any) -> None:
        """Wait for a place."""
        waiting = len(self._places.waiters)
        if self._queue_limit is not None and waiting >= self._queue_limit:
            raise PoolFull(
                f"{self!r} is full: {self._places.busy} calls are under way and {waiting} wait. Make it larger, have "
                "callers wait for each other, or turn work away"
            )
        loop = asyncio.get_running_loop()
        if self._alarm is None:
            self._alarm = loop.call_later(SATURATED_AFTER, self._look)
        began = loop.time()
        try:
            await self._places.wait(self._size, calling_line(function))
        finally:
            waited = loop.time() - began
            self._waits += 1
            self._waited += waited
            self._longest = max(self._longest, waited)

    def _bind(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = weakref.ref(loop)
            loop_state_of(loop).pools.add(self)
        elif self._loop() is not loop:
            raise RuntimeError(f"{self!r} is used by another event loop: make a pool for each")

    # -- saturation

    def _look(self) -> None:
        """Somebody has waited for a while, or did."""
        self._alarm = None
        loop = None if self._loop is None else self._loop()
        if not self._places.waiters or loop is None:
            return
        now = loop.time()
        waits = now - self._places.waiters[0].since
        if waits >= SATURATED_AFTER and now - self._said >= SAY_EVERY:
            self._said = now
            logger.warning(
                "%s pool %r is saturated: all %d places are taken, %d calls wait, the first for %.1f s. Who waits: %s",
                self.kind,
                self._name,
                self._size,
                len(self._places.waiters),
                waits,
                ", ".join(f"{caller} ({count})" for caller, count in self._callers()[:CALLERS_NAMED]),
            )
        left = SATURATED_AFTER - waits
        self._alarm = loop.call_later(left if left > 0.01 else SATURATED_AFTER, self._look)

    def _callers(self) -> list[tuple[str, int]]:
        return Counter(waiter.caller for waiter in self._places.waiters).most_common()

    def statistics(self) -> PoolStatistics:
        """What it does at this moment, and has done."""
        waiters = self._places.waiters
        return PoolStatistics(
            name=self._name,
            kind=self.kind,
            size=self._size,
            busy=self._places.busy,
            queued=len(waiters),
            done=self._done,
            failed=self._failed,
            cancelled=self._cancelled,
            refused=self._refused,
            longest_wait=self._longest,
            mean_wait=self._waited / self._waits if self._waits else 0.0,
            waiting_since=waiters[0].future.get_loop().time() - waiters[0].since if waiters else 0.0,
            callers=tuple(self._callers()),
        )

    # -- the end

    async def aclose(self) -> None:
        """Take no more calls, refuse those that wait, wait for those under way, and end what works for the pool. Any number of times.

        Cancelled meanwhile, it ends what it can at once.
        """
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._places.refuse(RuntimeError(f"{self!r} was closed while the call waited for a place"))
        try:
            while self._places.busy:
                if self._empty is None or self._empty.done():
                    self._empty = new_waiter(asyncio.get_running_loop(), self)
                await asyncio.shield(self._empty)
            await self.end()
        except BaseException:
            self.abandon()
            raise

    async def end(self) -> None:
        """End what works for the pool, which nobody uses any more."""

    def abandon(self) -> None:
        """End what works for the pool, at once and as far as possible."""

    async def __aenter__(self) -> Self:
        self._bind()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<{self.kind} pool {self._name!r}{state} size={self._size} busy={self._places.busy} queued={len(self._places.waiters)}>"


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def checked_count(value: Any, name: str) -> int:
    """A number above 0, or the error that says what is wrong with it."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value!r}")
    return value
