"""Who waits for a call: what a pool that is full can say."""

from __future__ import annotations

import asyncio
import sys
from typing import Any


def calling_line(function: Any) -> str:
    """Who waits for `function`: the innermost line of the current task that is not ours, or else the task's name."""
    called = getattr(function, "__qualname__", None) or type(function).__qualname__
    task = asyncio.current_task()
    outermost = None if task is None else getattr(task.get_coro(), "cr_frame", None)
    frame: Any = sys._getframe(1)
    while frame is not None:
        if not frame.f_globals.get("__name__", "").startswith("cede."):
            return f"{called} in {frame.f_code.co_name} ({frame.f_code.co_filename}:{frame.f_lineno})"
        frame = None if frame is outermost else frame.f_back
    return called if task is None else f"{called} in task {task.get_name()!r}"
