"""The coroutines behind rare calls. Not compiled: a coroutine should have a frame that can be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cede.sync.errors import BrokenBarrierError


async def acquire_for_body(self: Any) -> None:
    """``__aenter__`` of what may have an `acquire` of its own."""
    await self.acquire()


async def release_after_body(self: Any, exc_type: Any = None, exc: Any = None, tb: Any = None) -> None:
    """``__aexit__`` of what may have a `release` of its own."""
    self.release()


async def acquire_lock_of(self: Any) -> bool:
    """``condition.acquire()``."""
    return await self._lock.acquire()  # type: ignore[no-any-return]


async def wait_for_predicate(self: Any, predicate: Callable[[], Any]) -> Any:
    """``condition.wait_for(predicate)``."""
    while not (result := predicate()):
        await self.wait()
    return result


async def wait_at_barrier(self: Any) -> int:
    """``barrier.wait()``."""
    return await self.waiting()  # type: ignore[no-any-return]


async def reset_barrier(self: Any) -> None:
    """``barrier.reset()``."""
    await self.changing(False)


async def abort_barrier(self: Any) -> None:
    """``barrier.abort()``."""
    await self.changing(True)


async def stand_outside(self: Any) -> None:
    """``barrier._block()``: wait until the tasks of the round before are out."""
    while self._state.value in ("draining", "resetting"):
        await self._stand(False)
    if self.broken:
        raise BrokenBarrierError("Barrier aborted")


async def stand_inside(self: Any) -> None:
    """``barrier._wait()``: wait until the round is complete."""
    while self._state.value == "filling":
        await self._stand(True)
    if self._state.value in ("broken", "resetting"):
        raise BrokenBarrierError("Abort or reset of barrier")


async def let_go(self: Any) -> None:
    """``barrier._release()``: the round is complete."""
    self._trip()


async def wait_for_body(self: Any) -> Any:
    """``__aenter__`` of a barrier."""
    return await self.wait()


async def nothing_after_body(self: Any, exc_type: Any, exc: Any, tb: Any) -> None:
    """``__aexit__`` of what needs none."""


async def entered(self: Any) -> Any:
    """``__aenter__`` of what needs no wait to be entered."""
    return self


async def close_end(self: Any) -> None:
    """``aclose()`` of a channel's end."""
    self.close()


async def close_after_body(self: Any, exc_type: Any, exc: Any, tb: Any) -> None:
    """``__aexit__`` of a channel's end."""
    self.close()
