"""Slow callbacks and steps: debug mode reports them, and ``loop.statistics()`` shows the longest one so far."""

from __future__ import annotations

import logging
from typing import Any

from cede.core import stdlib

logger = logging.getLogger("asyncio")


def report_if_slow(kernel: Any, runnable: Any, seconds: float) -> None:
    """Note `runnable` if it is the slowest so far. In debug mode, log it from `slow_callback_duration` on, in the words of asyncio."""
    if seconds > kernel.longest_step:
        kernel.longest_step = seconds
        kernel.longest_step_of = describe(runnable)
    if kernel._debug and seconds >= kernel.slow_callback_duration:
        logger.warning("Executing %s took %.3f seconds", describe(runnable), seconds)


def describe(runnable: Any) -> str:
    """The repr of the task if `runnable` is a task's step or wake-up, else that of the handle."""
    owner = getattr(getattr(runnable, "_callback", None), "__self__", None)
    if isinstance(owner, stdlib.Task):
        return repr(owner)
    return repr(runnable)


class Events:
    """Stands for a handle in the report when the driver called a protocol directly."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.protocol = getattr(owner, "_protocol", None)

    def __repr__(self) -> str:
        protocol = getattr(self.protocol, "_app_protocol", self.protocol)  # behind TLS, show the application's protocol
        for_whom = "" if protocol is None else f" for {protocol!r}"
        return f"<Handle events of {self.owner!r}{for_whom}>"
