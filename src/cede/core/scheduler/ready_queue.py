# cython: boundscheck=False, nonecheck=False
"""The ready ring: the queue of what runs next.

Invariants
----------
* The slots from ``head`` up to ``tail`` (both counted without end, masked on use) hold the queued items, oldest first;
  every other slot holds None, so the ring keeps nothing alive that has left it.
* The number of slots is a power of two, and at least one more than fit never happens: a full ring doubles before it takes the item.
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

    # append, appendleft, popleft and size are inline, in ready_queue.pxd: they run several times in each step.

    def take(self, index: int) -> Any:
        """Remove the item that stands `index` places behind the oldest; the order of the others stays."""
        where = self.head + index
        item = self.slots[where & self.mask]
        while where > self.head:
            self.slots[where & self.mask] = self.slots[(where - 1) & self.mask]
            where -= 1
        self.slots[self.head & self.mask] = None
        self.head += 1
        return item

    def grow(self) -> int:
        # To make a list may call the collector, and so finalizers, which may queue or run something: looked at anew after it.
        count = 0
        while self.tail - self.head > self.mask and count <= self.mask:
            count = self.mask + 1
            fresh = [None] * (2 * count)
        if self.tail - self.head > self.mask:
            # It is full: the oldest item stands at `head`. The slots change their contents, so nothing dies here.
            slots_move(self.slots, self.head & self.mask, count, fresh)  # type: ignore # noqa: F821
            self.slots = fresh
            self.mask = 2 * count - 1
            self.head = 0
            self.tail = count
        return 0

    def clear(self) -> int:
        """Drop what is queued. What dies then may queue anew: the ring is whole, and empty, before the first of it does."""
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

    def take(self, index: int) -> Any:
        item = self[index]
        del self[index]
        return item


if TYPE_CHECKING or not cython.compiled:
    ReadyQueue = PureReadyQueue
else:
    ReadyQueue = CompiledReadyQueue
