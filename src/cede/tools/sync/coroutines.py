"""The coroutines behind rare calls. Not compiled: a coroutine should have a frame that can be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


async def acquire_for_body(primitive: Any) -> None:
    """``__aenter__`` of what may have an `acquire` of its own."""
    await primitive.acquire()


async def release_after_body(primitive: Any, kind: Any = None, error: Any = None, traceback: Any = None) -> None:
    """``__aexit__`` of what may have a `release` of its own."""
    primitive.release()


async def wait_for_predicate(condition: Any, predicate: Callable[[], Any]) -> Any:
    """``condition.wait_for(predicate)``."""
    while not (result := predicate()):
        await condition.wait()
    return result


async def entered(end: Any) -> Any:
    """``__aenter__`` of what needs no wait to be entered."""
    return end
