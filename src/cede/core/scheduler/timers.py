# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""Timers: the handle that waits for its time, and the heap that holds them.

Invariants
----------
* The timer at index i of the heap has ``_position == i``. So `cancel` finds and removes it at once, in O(log n), and the heap never
  holds a cancelled timer. A timer that is in no heap has position -1, or no position at all.
* A parent is never due after its children; age orders equal times, so timers run in the order in which they were set.
* No timer runs early: the turn takes the timers whose time is at or before the clock's reading.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any

from cede.core import stdlib
from cede.core.task.handle import Handle

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import places


class TimerHandle(Handle):
    """A callback that runs at a given time; what `call_later` and `call_at` return.

    ``isinstance(handle, asyncio.TimerHandle)`` holds. Timers order by time, and by age where the times are equal.
    """

    if not cython.compiled:
        __slots__ = places("_heap", "_number", "_when")

        _number: int

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
        self._heap: Any = None
        if cython.compiled:
            self._scheduled = False
            self._position = -1

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.TimerHandle if type(self) is TimerHandle else stdlib.class_of(self, stdlib.TimerHandle)

    def when(self) -> float:
        """The time at which the callback is due, in seconds of ``loop.time()``."""
        return float(self._when)

    def cancel(self) -> None:
        """Do not run the callback. Costs O(log n) at most; the loop keeps nothing of the handle."""
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


class CompiledHeap:
    """A heap of timers that know their index: heap.h, four children a parent."""

    count: int

    if cython.compiled:

        def __len__(self) -> int:
            return self.heap.count  # type: ignore[attr-defined, no-any-return]

        def snapshot(self) -> list[TimerHandle]:
            """The pending timers, in no particular order."""
            return heap_list(cython.address(self.heap))  # type: ignore # noqa: F821

        def push(self, timer: TimerHandle) -> int:
            self.count += 1
            heap_push(cython.address(self.heap), timer._when, self.count, timer, cython.address(timer._position))  # type: ignore # noqa: F821
            timer._heap = self  # only now: if `heap_push` ran out of memory, the timer is in no heap
            timer._scheduled = True
            return 0

        def pop(self) -> TimerHandle:
            """Remove and return the next timer. The caller makes sure that there is one."""
            timer = heap_remove(cython.address(self.heap), 0)  # type: ignore # noqa: F821
            timer._heap = None
            timer._scheduled = False
            return timer

        def remove(self, timer: TimerHandle) -> int:
            timer._heap = None
            timer._scheduled = False
            if timer._position >= 0:  # `clear` may have emptied the heap
                heap_remove(cython.address(self.heap), timer._position)  # type: ignore # noqa: F821
            return 0

        def clear(self) -> int:
            """Forget every timer, when the loop closes."""
            for timer in self.snapshot():
                timer._heap = None
                timer._scheduled = False
            heap_drop(cython.address(self.heap))  # type: ignore # noqa: F821
            return 0

        def __dealloc__(self) -> None:
            heap_drop(cython.address(self.heap))  # type: ignore # noqa: F821

        def show_to_collector(self) -> int:
            """Let the collector see the timers in the array, from now on, for each object of this class."""
            return heap_install(CompiledHeap, self, cython.address(self.heap))  # type: ignore # noqa: F821


def show_to_collector(example: Any) -> int:
    return example.show_to_collector()  # type: ignore[no-any-return]


if not cython.compiled:
    from cede.core.pure.heap import LazyHeap, is_scheduled

    Heap = LazyHeap
    setattr(TimerHandle, "_scheduled", property(is_scheduled))  # noqa: B010
else:
    Heap = CompiledHeap  # type: ignore[assignment,misc]
    show_to_collector(CompiledHeap.__new__(CompiledHeap))

if cython.compiled:
    pool_timer(TimerHandle)  # type: ignore # noqa: F821
