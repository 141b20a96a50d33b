"""CoroutineLimiter: `limit=` of what runs coroutines: at most so many at a time, the others in order of arrival.

Invariant
---------
* A coroutine that never gets its turn is closed, so nobody is told that it was never awaited.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any

from cede.sync.limiter import CapacityLimiter


class CoroutineLimiter:
    """`limit` places. Raises TypeError or ValueError, in the name of `caller`, for a limit that is no whole number above 0."""

    def __init__(self, limit: Any, caller: str) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int):
            raise TypeError(f"{caller}: limit must be a whole number or None, got {limit!r}")
        if limit < 1:
            raise ValueError(f"{caller}: limit must be 1 or more, got {limit!r}")
        self.limit = limit
        self.places = CapacityLimiter()

    async def enter(self) -> None:
        """Take a place, when it is our turn."""
        if not self.places.take(self.limit):
            await self.places.wait(self.limit)

    def leave(self) -> None:
        """Give the place up."""
        self.places.leave()


class LimitedCoroutine(Coroutine[Any, Any, Any]):
    """The coroutine `coro`, which begins when the gate lets it in. It passes for a coroutine itself."""

    def __init__(self, gate: CoroutineLimiter, coro: Any) -> None:
        self.coro = coro
        self.entered = False  # the line
        self.begun = False  # its work
        self.whole: Any = self.run(gate)
        self.__name__ = getattr(coro, "__name__", type(coro).__name__)
        self.__qualname__ = getattr(coro, "__qualname__", self.__name__)

    async def run(self, gate: CoroutineLimiter) -> Any:
        self.entered = True
        try:
            await gate.enter()
        except BaseException:
            self.begun = True
            self.coro.close()
            raise
        self.begun = True
        try:
            return await self.coro
        finally:
            gate.leave()

    def send(self, value: Any) -> Any:
        return self.whole.send(value)

    def throw(self, *args: Any) -> Any:
        if not self.entered:
            self.entered = self.begun = True
            self.coro.close()
        try:
            return self.whole.throw(*args)
        finally:
            args = ()  # the error's traceback holds this frame

    def close(self) -> None:
        if not self.begun:
            self.coro.close()
        self.whole.close()

    def __await__(self) -> Generator[Any, None, Any]:
        return self.whole.__await__()

    @property
    def cr_frame(self) -> Any:
        """Where it stands."""
        return self.whole.cr_frame

    @property
    def cr_await(self) -> Any:
        """What it waits for."""
        return self.whole.cr_await

    @property
    def cr_running(self) -> bool:
        """Whether it runs now."""
        return self.whole.cr_running

    @property
    def cr_code(self) -> Any:
        """Its code."""
        return self.whole.cr_code

    def __repr__(self) -> str:
        return f"<{self.coro!r}, in turn>"
