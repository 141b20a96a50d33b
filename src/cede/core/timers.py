# cython: auto_pickle=False
"""Timers: the handle that waits for its time, and the heap that holds them.

Invariants
----------
* ``entries[i]._position == i`` for each entry: that is how a cancelled timer finds its place, so it leaves in O(log n) and at once,
  and the heap never holds a cancelled timer. A timer in no heap has position -1.
* A parent is never due after its children; equal times are ordered by age, so timers run in the order in which they were set.
* No timer runs before its time: the turn takes what is due at or before the clock's reading, never after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any

from cede.core.handle import Handle

try:
    import cython
except ModuleNotFoundError:
    from cede.core import nocython as cython

if not cython.compiled:
    from cede.core.pure import places


class TimerHandle(Handle):
    """A callback that runs at a given time; what `call_later` and `call_at` return.

    ``isinstance(handle, asyncio.TimerHandle)`` holds. Timers order by time, and by age where the times are equal.
    """

    if not cython.compiled:
        __slots__ = places("_heap", "_number", "_when")

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            self: Any = Handle.__new__(cls)
            self._when = 0.0
            self._heap = None
            return self

    def __init__(
        self, when: float, callback: Callable[..., Any], args: Any, loop: Any, context: Context | None = None
    ) -> None:
        Handle.__init__(self, callback, args, loop, context)
        self._when = when
        self._heap: Heap | None = None
        if cython.compiled:
            self._scheduled = False
            self._number = 0
            self._position = -1

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return asyncio.TimerHandle

    def when(self) -> float:
        """The time at which the callback is due, in seconds of ``loop.time()``."""
        return float(self._when)

    def cancel(self) -> None:
        """Never run. Costs O(log n) at most, and nothing of the handle stays in the loop."""
        if not self._cancelled:
            if cython.compiled or self._source_traceback is not None:
                Handle.cancel(self)
            else:
                self._cancelled = True
                self._callback = self._args = None
            if self._heap is not None:
                self._heap.remove(self)
            if cython.compiled:
                self._scheduled = False

    def _describe(self) -> list[str]:
        parts = Handle._describe(self)
        parts.insert(2 if self._cancelled else 1, f"when={self._when}")
        return parts

    def __hash__(self) -> int:
        return hash(self._when)

    def __lt__(self, other: object) -> Any:
        if isinstance(other, TimerHandle):
            return self._when < other._when
        return NotImplemented

    def __le__(self, other: object) -> Any:
        if isinstance(other, TimerHandle):
            return self._when < other._when or self.__eq__(other)
        return NotImplemented

    def __gt__(self, other: object) -> Any:
        if isinstance(other, TimerHandle):
            return self._when > other._when
        return NotImplemented

    def __ge__(self, other: object) -> Any:
        if isinstance(other, TimerHandle):
            return self._when > other._when or self.__eq__(other)
        return NotImplemented

    def __eq__(self, other: object) -> Any:
        if isinstance(other, TimerHandle):
            return (
                self._when == other._when
                and self._callback == other._callback
                and self._args == other._args
                and self._cancelled == other._cancelled
            )
        return NotImplemented


class Heap:
    """A binary heap of timers that know where they stand."""

    def __init__(self) -> None:
        self.entries: list[TimerHandle] = []
        self.count = 0

    def __len__(self) -> int:
        return len(self.entries)

    def size(self) -> int:
        """How many timers are pending."""
        return len(self.entries)

    def snapshot(self) -> list[TimerHandle]:
        """The pending timers, in no particular order."""
        return list(self.entries)

    def push(self, timer: TimerHandle) -> int:
        self.count += 1
        timer._number = self.count
        timer._heap = self
        timer._scheduled = True
        self.entries.append(timer)
        self.rise(timer, len(self.entries) - 1)
        return 0

    def peek(self) -> TimerHandle:
        """The next timer. The caller knows that there is one."""
        return self.entries[0]

    def pop(self) -> TimerHandle:
        """Remove the next timer, whose time has come."""
        timer = self.entries[0]
        self.remove(timer)
        timer._scheduled = False
        return timer

    def remove(self, timer: TimerHandle) -> int:
        at = timer._position
        last = self.entries.pop()
        timer._position = -1
        timer._heap = None
        if last is not timer:
            # The last one fills the gap: it may belong above as well as below.
            if not self.rise(last, at):
                self.sink(last, at)
        return 0

    def rise(self, timer: TimerHandle, at: int) -> bool:
        """Move `timer` up from `at` to where it belongs; whether it moved."""
        start = at
        entries = self.entries
        while at > 0:
            above = (at - 1) >> 1
            parent = entries[above]
            if parent._when < timer._when or (parent._when == timer._when and parent._number < timer._number):
                break
            entries[at] = parent
            parent._position = at
            at = above
        entries[at] = timer
        timer._position = at
        return at != start

    def sink(self, timer: TimerHandle, at: int) -> int:
        entries = self.entries
        count = len(entries)
        while True:
            below = 2 * at + 1
            if below >= count:
                break
            child = entries[below]
            if below + 1 < count:
                other = entries[below + 1]
                if other._when < child._when or (other._when == child._when and other._number < child._number):
                    child = other
                    below += 1
            if timer._when < child._when or (timer._when == child._when and timer._number < child._number):
                break
            entries[at] = child
            child._position = at
            at = below
        entries[at] = timer
        timer._position = at
        return 0

    def clear(self) -> int:
        """Forget every timer, when the loop closes."""
        for timer in self.entries:
            timer._position = -1
            timer._heap = None
            timer._scheduled = False
        self.entries = []
        return 0


if not cython.compiled:
    from cede.core.lazy_heap import LazyHeap, is_scheduled

    Heap = LazyHeap  # type: ignore[assignment,misc]
    setattr(TimerHandle, "_scheduled", property(is_scheduled))  # noqa: B010

if cython.compiled:
    pool_timer(TimerHandle)  # type: ignore # noqa: F821
