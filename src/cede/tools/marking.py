"""Functions that are no ``async def`` and return what can be awaited, told to
mocks, frameworks and whoever else asks for coroutine functions.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from typing import Any


def mark_coroutine_function(function: Any) -> None:
    """From now on inspect's and asyncio's ``iscoroutinefunction(function)`` hold."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(function)
    mark = getattr(asyncio.coroutines, "_is_coroutine", None)  # asyncio's own sign, on the versions that have one
    if mark is not None:
        function._is_coroutine = mark
