# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""The timer of ``asyncio.sleep``, told by the callback with which that function sets it.

That callback finishes a future, if nobody has cancelled it, and is no code of the program's. So the timer does that itself: it needs no
context of its own, no arguments, and no call. With many sleepers that is a quarter of what the collector has to look through again and
again.
"""

from __future__ import annotations

from asyncio import futures
from contextvars import Context
from typing import Any

from cede.core.future import Future
from cede.core.timers import TimerHandle

try:
    import cython
except ModuleNotFoundError:
    from cede.core import nocython as cython

if not cython.compiled:
    from cede.core.pure import PENDING, places

# What `asyncio.sleep` hands to `call_later`; None where this Python has another way.
wake_sleeper: Any = getattr(futures, "_set_result_unless_cancelled", None)


class WakingTimer(TimerHandle):
    """Finishes `sleeper` with `outcome` at its time."""

    sleeper: Future | None
    outcome: Any

    if not cython.compiled:
        __slots__ = places("outcome", "sleeper")

    def cancel(self) -> None:
        """As of any timer."""
        TimerHandle.cancel(self)
        self.sleeper = None
        self.outcome = None

    def get_context(self) -> Context:
        """An empty one: nothing runs in it."""
        return Context()

    def run_ready(self) -> int:
        sleeper = self.sleeper
        if self._cancelled or sleeper is None:
            return 0
        if sleeper.state == PENDING and sleeper.loop is not None:
            sleeper.finish(self.outcome)
            return 0
        # It was cancelled, or somebody else has finished it: whatever asyncio's function makes of that.
        self._context = Context()
        self._args = (sleeper, self.outcome)
        return TimerHandle.run_ready(self)


if cython.compiled:
    pool_waking(WakingTimer)  # type: ignore # noqa: F821
