# cython: auto_pickle=False
"""Barrier: a fixed number of tasks go on together.

Invariants
----------
* `_count` is how many tasks are inside: they wait for the others, or were let go and have not run yet. While those leave, newcomers
  stand outside.
* Each task of a round gets a number of its own, from 0 to parties - 1, in the order of arrival. It is drawn when the round is
  complete, so one that was cancelled before leaves no gap.
* A task that was let go and finds the barrier broken or reset when it runs raises BrokenBarrierError.
"""

from __future__ import annotations

from asyncio import locks
from collections.abc import Coroutine
from typing import Any

from cede.core import stdlib
from cede.core.task.coroutine_methods import coroutine_methods
from cede.core.task.operation import NAMES, begin
from cede.sync import coroutines
from cede.sync.completed import DONE
from cede.sync.errors import BrokenBarrierError
from cede.sync.loop_bound import LoopBound
from cede.sync.parking_lot import ParkingLot, Waiting

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.task.awaitable import ENDED

NAMES.update(BarrierWait="Barrier.wait", BarrierChange="Barrier.reset")

FILLING = "filling"
DRAINING = "draining"
RESETTING = "resetting"
BROKEN = "broken"

OUTSIDE = 0
INSIDE = 1


class BarrierWait(Waiting):
    """``barrier.wait()``; `number` says on which side of the barrier the task stands."""

    def step(self) -> int:
        barrier = self.owner
        if self.waiter is None:
            return self.enter()
        self.check()
        if self.number == OUTSIDE:
            barrier.outside.drop(self)
            self.waiter = None
            return self.enter()
        barrier.inside.drop(self)
        self.waiter = None
        stopped = barrier.state == BROKEN or barrier.state == RESETTING
        index = barrier._open
        barrier._open += 1
        barrier.leave()
        if stopped:
            raise BrokenBarrierError("Abort or reset of barrier")
        self.value = index
        return ENDED

    def enter(self) -> int:
        barrier = self.owner
        if barrier.state == DRAINING or barrier.state == RESETTING:
            self.number = OUTSIDE
            return self.stand(barrier.new_waiter(), barrier.outside)
        if barrier.state == BROKEN:
            raise BrokenBarrierError("Barrier aborted")
        if barrier._count + 1 < barrier._parties:
            self.number = INSIDE
            waiter = barrier.new_waiter()
            barrier._count += 1
            return self.stand(waiter, barrier.inside)
        barrier._count += 1
        barrier.trip()
        # The last to come has the last number, and is the first to leave.
        self.value = barrier._parties - 1
        barrier.leave()
        return ENDED

    def release(self) -> int:
        barrier = self.owner
        if self.number == OUTSIDE:
            barrier.outside.drop(self)
        else:
            barrier.inside.drop(self)
            barrier.leave()
        return 0


class BarrierChange(Waiting):
    """``barrier.reset()`` and ``barrier.abort()``; `argument` is True for the latter."""

    def step(self) -> int:
        barrier = self.owner
        barrier.change(self.argument)
        return ENDED


class Barrier(LoopBound):
    """A meeting point of `parties` tasks: asyncio.Barrier's API, and ``isinstance(barrier, asyncio.Barrier)`` holds. Not thread-safe.

    ValueError where `parties` is below 1.
    """

    if not cython.compiled:
        _count = 0
        _open = 0
        state: Any = FILLING

    def __init__(self, parties: int) -> None:
        if parties < 1:
            raise ValueError("parties must be >= 1")
        self._parties = parties
        self._count = 0
        self._open = 0
        self.state = FILLING
        self.inside = ParkingLot()
        self.outside = ParkingLot()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.Barrier if type(self) is Barrier else type(self)

    def wait(self) -> Coroutine[Any, Any, int]:
        """Wait until `parties` tasks do; the result is the number of this one, from 0 to parties - 1.

        Raises BrokenBarrierError where the barrier is broken, or is aborted or reset meanwhile.
        """
        return self.waiting()  # type: ignore[no-any-return]

    def __aenter__(self) -> Any:
        return self.wait()

    def __aexit__(self, kind: Any, error: Any, traceback: Any) -> Any:
        return DONE

    def reset(self) -> Coroutine[Any, Any, None]:
        """Start anew: those who wait get BrokenBarrierError."""
        return self.changing(False)  # type: ignore[no-any-return]

    def abort(self) -> Coroutine[Any, Any, None]:
        """Break the barrier for good, or until `reset`: all who wait, and will wait, get BrokenBarrierError."""
        return self.changing(True)  # type: ignore[no-any-return]

    def waiting(self) -> Any:
        return begin(BarrierWait.__new__(BarrierWait), self, None)

    def changing(self, broken: bool) -> Any:
        return begin(BarrierChange.__new__(BarrierChange), self, broken)

    # -- names that code which knows asyncio's barrier knows

    @property
    def _state(self) -> Any:
        return locks._BarrierState(self.state)  # type: ignore[attr-defined]

    def _block(self) -> Any:
        return coroutines.stand_outside(self)

    def _wait(self) -> Any:
        return coroutines.stand_inside(self)

    def _release(self) -> Any:
        return coroutines.let_go(self)

    def _exit(self) -> None:
        if self._count == 0:
            self.open_again()

    def _stand(self, inside: bool) -> Any:
        """A future in one of the two lines."""
        waiter = self.new_waiter()
        (self.inside if inside else self.outside).append(waiter)
        return waiter

    def _trip(self) -> None:
        self.trip()

    def trip(self) -> int:
        """All are there: they go on."""
        self.state = DRAINING
        self._open = 0
        self.inside.wake_all()
        return 0

    def leave(self) -> int:
        """One task is out. The last one opens the barrier for those outside."""
        self._count -= 1
        if self._count == 0:
            self.open_again()
        return 0

    def open_again(self) -> int:
        if self.state == DRAINING or self.state == RESETTING:
            self.state = FILLING
            self.outside.wake_all()
        return 0

    def change(self, broken: bool) -> int:
        if broken:
            self.state = BROKEN
        elif self._count > 0:
            self.state = RESETTING
        else:
            self.state = FILLING
        self.inside.wake_all()
        if self.state != RESETTING:
            self.outside.wake_all()
        return 0

    @property
    def parties(self) -> int:
        """How many tasks have to wait."""
        return self._parties  # type: ignore[no-any-return]

    @property
    def n_waiting(self) -> int:
        """How many tasks wait now."""
        return int(self._count) if self.state == FILLING else 0

    @property
    def broken(self) -> bool:
        """Whether the barrier is broken."""
        return bool(self.state == BROKEN)

    def __repr__(self) -> str:
        kind = type(self)
        extra = self.state if self.state == BROKEN else f"{self.state}, waiters:{self.n_waiting}/{self._parties}"
        return f"<{kind.__module__}.{kind.__qualname__} object at {id(self):#x} [{extra}]>"


coroutine_methods(
    Barrier,
    wait=coroutines.wait_at_barrier,
    _block=coroutines.stand_outside,
    _wait=coroutines.stand_inside,
    _release=coroutines.let_go,
    reset=coroutines.reset_barrier,
    abort=coroutines.abort_barrier,
    __aenter__=coroutines.wait_for_body,
    __aexit__=coroutines.nothing_after_body,
)
