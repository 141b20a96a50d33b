"""CapacityLimiter: so many at once, and a line of those who wait. What every `limit=` is made of.

Invariants
----------
* Whoever was given a place gives it back exactly once, by `leave`.
* Places are given in the order in which they were asked for: nobody overtakes whoever waits longest. A waiter that is cancelled has no
  place, and passes on one that it was given a moment ago.
"""

from __future__ import annotations

import asyncio
from collections import deque

from cede.core.task.operation import new_waiter


class Waiter:
    """Whoever has no place yet and wants one of `size`; `caller` says who, where somebody may ask."""

    __slots__ = ("caller", "future", "since", "size")

    def __init__(self, future: asyncio.Future[None], size: int, caller: str) -> None:
        self.future = future
        self.size = size
        self.caller = caller
        self.since = future.get_loop().time()


class CapacityLimiter:
    """How many are taken, and who waits. How many there are is told by whoever asks for one."""

    def __init__(self) -> None:
        self.busy = 0
        self.waiters: deque[Waiter] = deque()

    def take(self, size: int) -> bool:
        """Take one of `size` places, where that is free and nobody waits."""
        if self.waiters or self.busy >= size:
            return False
        self.busy += 1
        return True

    async def wait(self, size: int, caller: str = "") -> float:
        """Wait for one of `size` places. Returns how many seconds that took."""
        loop = asyncio.get_running_loop()
        waiter = Waiter(new_waiter(loop, self), size, caller)
        self.waiters.append(waiter)
        try:
            await waiter.future
        except BaseException:
            if waiter in self.waiters:
                self.waiters.remove(waiter)
                self.admit()  # the next one may want less
            elif not waiter.future.cancelled() and waiter.future.exception() is None:
                self.leave()  # the place was ours, for a moment
            raise
        return loop.time() - waiter.since

    def leave(self) -> None:
        """A place is free again: whoever waits longest has it."""
        self.busy -= 1
        self.admit()

    def admit(self) -> None:
        """Let in whoever there is a place for."""
        while self.waiters and self.busy < self.waiters[0].size:
            waiter = self.waiters.popleft()
            if not waiter.future.done():
                self.busy += 1
                waiter.future.set_result(None)

    def refuse(self, error: Exception) -> None:
        """Nobody who waits will have a place."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.future.done():
                waiter.future.set_exception(error)
