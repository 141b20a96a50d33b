"""The coroutines behind rare calls. Not compiled: a coroutine should have a frame that can be seen."""

from __future__ import annotations

import types
from collections.abc import Generator
from typing import Any


async def nothing() -> None:
    """For an exception to be thrown into, by the rules that coroutines have for that."""


@types.coroutine
def one_turn() -> Generator[None, None, None]:
    """Let the others run."""
    yield


PLAIN_NUMBERS = (int, float)

# What an uncompiled `sleep` awaits where it has to wait; sleep.py puts it here.
sleeping: Any = None


async def sleep(delay: float, result: Any = None) -> Any:
    """`sleep`; the first way is cheaper, uncompiled."""
    if type(delay) in PLAIN_NUMBERS and delay <= 0:
        await one_turn()
        return result
    return await sleeping(delay, result)


async def pass_a_turn() -> None:
    """`checkpoint`."""
    await one_turn()
