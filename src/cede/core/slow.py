"""Debug mode's report of a callback or step that held the loop up."""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger("asyncio")


def report_if_slow(kernel: Any, runnable: Any, seconds: float) -> None:
    """Log `runnable` if it ran as long as the loop's `slow_callback_duration`, in the words that tools filter on."""
    if seconds >= kernel.slow_callback_duration:
        logger.warning("Executing %s took %.3f seconds", describe(runnable), seconds)


def describe(runnable: Any) -> str:
    """A task, where the work is a task's step or wake-up; else the handle."""
    owner = getattr(getattr(runnable, "_callback", None), "__self__", None)
    if owner is not None and getattr(owner, "is_step_of_task", False):
        return repr(owner)
    return repr(runnable)
