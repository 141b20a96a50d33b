"""A coroutine around any awaitable, for a generator task that yields one."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any


async def as_coroutine(awaitable: Awaitable[Any]) -> Any:
    """Await `awaitable`."""
    return await awaitable
