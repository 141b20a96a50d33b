# cython: boundscheck=False, nonecheck=False
"""The ready queue: a ring of what runs next.

Invariants
----------
* The slots from ``head`` up to ``tail`` (both only grow, and are masked on use) hold the queued items, oldest first;
  every other slot holds None, so the ring keeps no item alive that has left it.
* `wake` is the one way onto the queue; `wake_first` puts an interrupted item back, before the others. Uncompiled, a few places add an
  item without a call: the interpreter runs a signal handler where a call ends, and if the handler raises, the item must be in exactly one
  place.
* The number of slots is a power of two. A full ring doubles before it takes another item.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

SMALLEST = 64


class CompiledReadyQueue:
    """A growing ring buffer with the operations of ``collections.deque`` that a scheduler needs."""

    def __init__(self) -> None:
        self.slots = [None] * SMALLEST
        self.mask = SMALLEST - 1
        self.head = 0
        self.tail = 0

    # ready_queue.pxd defines wake, wake_first, popleft and size as inline functions: each step calls them several times.

    def rearrange(self, before: list[Any], after: list[Any]) -> bool:
        """Replace `before`, at the head, by `after`, the same items in another order. False if `before` is not there any more."""
        count = len(before)
        if self.tail - self.head < count:
            return False
        for at in range(count):
            if self.slots[(self.head + at) & self.mask] is not before[at]:
                return False
        for at in range(count):
            self.slots[(self.head + at) & self.mask] = after[at]  # `before` keeps the items alive: no object dies here
        return True

    def grow(self) -> int:
        # Making a list may start the collector, and so finalizers, which may queue or run something: check again afterwards.
        count = 0
        while self.tail - self.head > self.mask and count <= self.mask:
            count = self.mask + 1
            fresh = [None] * (2 * count)
        if self.tail - self.head > self.mask:
            # The ring is full, with the oldest item at `head`. `slots_move` moves references, so no object dies here.
            slots_move(self.slots, self.head & self.mask, count, fresh)  # type: ignore # noqa: F821
            self.slots = fresh
            self.mask = 2 * count - 1
            self.head = 0
            self.tail = count
        return 0

    def clear(self) -> int:
        """Drop all items. Their finalizers may queue new ones: the ring is valid, and empty, before the first item dies."""
        fresh = [None] * SMALLEST
        dropped = self.slots
        self.slots = fresh
        self.mask = SMALLEST - 1
        self.head = self.tail = 0
        dropped.clear()
        return 0

    def __len__(self) -> int:
        return int(self.tail - self.head)

    def __iter__(self) -> Any:
        count = self.tail - self.head
        start = self.head & self.mask
        first = self.slots[start : start + count]
        return iter(first + self.slots[: count - len(first)])


class PureReadyQueue(deque):  # type: ignore[type-arg]
    """The same for the interpreter, where a deque's C code beats any ring written in Python."""

    size = deque.__len__
    wake = deque.append
    wake_first = deque.appendleft

    def rearrange(self, before: list[Any], after: list[Any]) -> bool:
        now = list(self)
        count = len(before)
        if len(now) < count or any(now[at] is not before[at] for at in range(count)):
            return False
        self.__init__(after + now[count:])  # type: ignore[misc]  # a single call, in which no signal's handler runs
        return True


if TYPE_CHECKING or not cython.compiled:
    ReadyQueue = PureReadyQueue
else:
    ReadyQueue = CompiledReadyQueue
