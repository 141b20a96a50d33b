# cython: boundscheck=False, nonecheck=False
"""The ready queue: a ring of what runs next.

Invariants
----------
* The slots from ``head`` up to ``tail`` (both counted without end, masked on use) hold the queued items, oldest first;
  every other slot holds None, so the ring keeps nothing alive that has left it.
* `wake` is the one way onto the queue; `wake_first` is for what was interrupted and goes on before the others. Uncompiled, a few places
  add to it without a call instead: the interpreter runs a signal's handler where a call ends, and one that raises must find the item in
  one place.
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

    # wake, wake_first, popleft and size are inline, in ready_queue.pxd: they run several times in each step.

    def rearrange(self, before: list[Any], after: list[Any]) -> bool:
        """Put `after`, the same items in another order, in the place of `before`, at the head. False: that is not there any more."""
        count = len(before)
        if self.tail - self.head < count:
            return False
        for at in range(count):
            if self.slots[(self.head + at) & self.mask] is not before[at]:
                return False
        for at in range(count):
            self.slots[(self.head + at) & self.mask] = after[at]  # `before` holds what stood here: nothing dies
        return True

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
