"""A callback or step that held the loop up: debug mode's report, and the longest one so far, for ``loop.statistics()``."""

from __future__ import annotations

import logging
from typing import Any

from cede.core import stdlib

logger = logging.getLogger("asyncio")


def report_if_slow(kernel: Any, runnable: Any, seconds: float) -> None:
    """Note `runnable` if none took longer; in debug mode log it, in the words that tools filter on, if it took `slow_callback_duration`."""
    if seconds > kernel.longest_step:
        kernel.longest_step = seconds
        kernel.longest_step_of = describe(runnable)
    if kernel._debug and seconds >= kernel.slow_callback_duration:
        logger.warning("Executing %s took %.3f seconds", describe(runnable), seconds)


def describe(runnable: Any) -> str:
    """A task, where the work is a task's step or wake-up; else the handle."""
    owner = getattr(getattr(runnable, "_callback", None), "__self__", None)
    if isinstance(owner, stdlib.Task):
        return repr(owner)
    return repr(runnable)


class Events:
    """What is reported instead of a handle where a protocol was called straight from the driver."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.protocol = getattr(owner, "_protocol", None)

    def __repr__(self) -> str:
        protocol = getattr(self.protocol, "_app_protocol", self.protocol)  # not TLS, but who is behind it
        for_whom = "" if protocol is None else f" for {protocol!r}"
        return f"<Handle events of {self.owner!r}{for_whom}>"
