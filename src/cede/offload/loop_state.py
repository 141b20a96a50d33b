"""What belongs to one loop: its pools, and how many calls of a function are under way.

The loop ends it where it ends its asynchronous generators, by `shutdown_asyncgens`: that is the hook which every asyncio loop has, and
what a loop closes there need not be a generator as long as it has an `aclose`. A loop that is dropped without that takes it along, and
what ends a pool's processes then is the pool's own end.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from typing import TYPE_CHECKING, Any

from cede.core.weak_ordered_set import WeakOrderedSet

if TYPE_CHECKING:
    from cede.sync.limiter import CapacityLimiter


class LoopState:
    """Of one loop, to which it holds no reference."""

    def __init__(self) -> None:
        self.pools = WeakOrderedSet()  # what a program makes, it keeps
        self.defaults: dict[type, Any] = {}
        self.places: dict[Any, CapacityLimiter] = {}
        self.closing: list[Any] = []  # pools that are asked to close and have not yet

    async def aclose(self) -> None:
        """Close all pools. The first error is raised when all are closed."""
        self.closing = list(self.pools)
        outcomes = await asyncio.gather(*[self._close(pool) for pool in list(self.closing)], return_exceptions=True)
        self.defaults.clear()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _close(self, pool: Any) -> None:
        await pool.aclose()
        self.closing.remove(pool)

    def default(self, kind: type) -> Any:
        """The pool of that kind which everybody shares."""
        pool = self.defaults.get(kind)
        if pool is None or pool._closed:
            pool = self.defaults[kind] = kind(name="default")
        return pool


_keepers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopState] = weakref.WeakKeyDictionary()


def loop_state_of(loop: asyncio.AbstractEventLoop) -> LoopState:
    """What belongs to `loop`, which runs."""
    loop_state = _keepers.get(loop)
    if loop_state is None:
        loop_state = _keepers[loop] = LoopState()
        to_be_closed = sys.get_asyncgen_hooks().firstiter
        if to_be_closed is not None:
            to_be_closed(loop_state)  # type: ignore[arg-type]
    return loop_state
