"""How the blocks of time limits and groups are entered and left: what the methods are called with, and, uncompiled, what they do.

Not compiled: a coroutine should have a frame that can be seen.
"""

from __future__ import annotations

from typing import Any


async def enter_timeout(self: Any) -> Any:
    """``async with timeout()`` begins."""
    self.enter()
    return self


async def leave_timeout(self: Any, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
    """``async with timeout()`` ends."""
    try:
        self.leave(exc_val)
    finally:
        del self, exc_type, exc_val, exc_tb  # an error's traceback holds this frame


async def enter_group(self: Any) -> Any:
    """``async with TaskGroup()`` begins."""
    self.enter()
    return self


async def leave_group(self: Any, et: Any, exc: Any, tb: Any) -> Any:
    """``async with TaskGroup()`` ends."""
    try:
        return await self.leaving(exc)
    finally:
        del self, et, exc, tb  # an error's traceback holds this frame


async def end_group(self: Any, et: Any, exc: Any) -> Any:
    """What ``__aexit__`` does, under the private name that asyncio's group has for it from Python 3.14 on."""
    try:
        return await self.leaving(exc)
    finally:
        del self, et, exc  # an error's traceback holds this frame
