# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""The timer of a sleeper: it finishes a future, and runs no code of the program's, so it needs no callback, no arguments and no context.

`cede.sleep` sets one, and so does ``asyncio.sleep``: that is told by the callback with which it sets its timer (`TaskKernel._new_timer`). A
timer with arguments and a context instead makes 200,000 sleepers cost 3.8 s of CPU where they cost 3.2, most of it the collector's.
"""

from __future__ import annotations

from asyncio import futures
from contextvars import Context
from typing import Any

from cede.core.scheduler.kernel import Kernel
from cede.core.scheduler.timers import TimerHandle
from cede.core.task.future import Future

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import PENDING, places
    from cede.core.task.handle import creation_stack

# What `asyncio.sleep` hands to `call_later`; None where this Python has another way.
wake_sleeper: Any = getattr(futures, "_set_result_unless_cancelled", None)


class WakingTimer(TimerHandle):
    """Finishes `sleeper` with `outcome` at its time. Its callback is asyncio's, or None."""

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
        if self._callback is None:
            return 0
        # It was cancelled, or somebody else has finished it: whatever asyncio's function makes of that.
        self._context = Context()
        self._args = (sleeper, self.outcome)
        return TimerHandle.run_ready(self)


def set_waking_timer(kernel: Kernel, when: float, sleeper: Future, outcome: Any, callback: Any) -> WakingTimer:
    """Finish `sleeper` with `outcome` at the time `when`."""
    timer = WakingTimer.__new__(WakingTimer)
    if not cython.compiled:
        timer._args = timer._context = timer._repr = None
        timer._cancelled = False
    timer._callback = callback
    timer._loop = kernel
    timer._source_traceback = creation_stack() if kernel._debug else None
    timer._when = when
    timer.sleeper = sleeper
    timer.outcome = outcome
    if sleeper.state == PENDING and sleeper.value is None:
        sleeper.value = timer  # what it waits for; `finish` and `cancel` end the circle
    kernel._timers.push(timer)
    return timer


if cython.compiled:
    pool_waking(WakingTimer)  # type: ignore # noqa: F821
