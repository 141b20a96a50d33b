"""The coroutines behind rare calls. This module is not compiled, so that they have frames that tools can see."""

from __future__ import annotations

import types
from collections.abc import Generator
from typing import Any


async def nothing() -> None:
    """Does nothing. `StreamOperation.throw` throws into it, to apply the interpreter's rules for `throw`."""


@types.coroutine
def one_turn() -> Generator[None, None, None]:
    """Give way for one turn."""
    yield


PLAIN_NUMBERS = (int, float)

# An uncompiled `sleep` that has to wait awaits this; sleep.py sets it.
sleeping: Any = None


async def sleep(delay: float, result: Any = None) -> Any:
    """`sleep`. Uncompiled, the first branch is the cheaper one."""
    if type(delay) in PLAIN_NUMBERS and delay <= 0:
        await one_turn()
        return result
    return await sleeping(delay, result)


async def pass_a_turn() -> None:
    """`checkpoint`."""
    await one_turn()
