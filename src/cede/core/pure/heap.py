"""The timers' heap for the interpreter, where the C code of `heapq` beats any heap written in Python.

Invariants
----------
* ``pending`` holds every timer that waits, by its number. A cancelled timer leaves it at once, so nothing of the timer stays.
* ``entries`` is a heap of (time, number), with one entry for each pending timer; numbers grow with age, so equal times come in the
  order in which they were set. An entry whose number is not pending is void: what remains of a cancelled timer is this pair of numbers.
* Void entries are swept out when a cancellation makes them `FEW` more than the others.
* The first entry is never void: a cancelled timer wakes nobody.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cede.core.scheduler.timers import TimerHandle

# Sweeping so few is not worth while.
FEW = 64


class LazyHeap:
    """The same operations as the indexed heap's."""

    __slots__ = ("count", "entries", "pending")

    def __init__(self) -> None:
        self.entries: list[tuple[float, int]] = []
        self.pending: dict[int, TimerHandle] = {}
        self.count = 0

    def __len__(self) -> int:
        return len(self.pending)

    def size(self) -> int:
        """How many timers are pending."""
        return len(self.pending)

    def snapshot(self) -> list[TimerHandle]:
        """The pending timers, in no particular order."""
        return list(self.pending.values())

    def push(self, timer: TimerHandle) -> int:
        self.count = number = self.count + 1
        timer._number = number
        timer._heap = self  # type: ignore[assignment]
        self.pending[number] = timer
        heappush(self.entries, (timer._when, number))
        return 0

    def next_time(self) -> float:
        """When the next timer is due. The caller knows that there is one."""
        return self.entries[0][0]

    def pop(self) -> TimerHandle:
        """Remove the next timer, whose time has come."""
        timer = self.pending.pop(heappop(self.entries)[1])
        timer._heap = None
        self.drop_void()
        return timer

    def take_due(self, now: float, ring: Any) -> int:
        """Move the timers that are due at `now` to `ring`."""
        entries = self.entries
        pending = self.pending
        while entries and entries[0][0] <= now:
            number = entries[0][1]
            if number in pending:
                # Without a call: a signal's handler runs where one ends, and the timer would be in both places, or in none.
                timer = pending[number]
                timer._heap = None
                ring += (timer,)
                del pending[number]
            heappop(entries)
        return self.drop_void()

    def remove(self, timer: TimerHandle) -> int:
        """Remove a timer that was cancelled."""
        timer._heap = None
        number = timer._number
        pending = self.pending
        del pending[number]
        entries = self.entries
        if entries[-1][1] == number:
            entries.pop()  # a timeout that was not needed: no other entry stands below the last
        elif len(entries) > 2 * len(pending) + FEW:
            entries[:] = [entry for entry in entries if entry[1] in pending]
            heapify(entries)
        elif entries[0][1] == number:
            self.drop_void()
        return 0

    def drop_void(self) -> int:
        entries = self.entries
        pending = self.pending
        while entries and entries[0][1] not in pending:
            heappop(entries)
        return 0

    def clear(self) -> int:
        """Forget every timer, when the loop closes."""
        for timer in self.pending.values():
            timer._heap = None
        self.pending.clear()
        self.entries.clear()
        return 0


def is_scheduled(timer: TimerHandle) -> bool:
    """Whether the loop holds the timer: what a compiled one has a field for."""
    return timer._heap is not None
