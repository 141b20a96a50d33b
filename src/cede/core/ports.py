"""The four ports through which everything that is not deterministic enters the kernel.

=========  ==============================================  ===========================================
port       what it answers                                 in production
=========  ==============================================  ===========================================
clock      what time is it                                 ``Kernel.time()``: the monotonic clock
order      which of the ready work runs next               first in, first out, drained in place
driver     what did the world do                           epoll, or the portable selector
inbox      what did other threads and signals post         ``cede.core.inbox.Inbox``
=========  ==============================================  ===========================================

A simulation replaces the ports and leaves the kernel as it is. The clock is a method that a subclass, or an instance,
may replace; the order is an object that is asked once a turn, never once a step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    import cython
except ModuleNotFoundError:
    from cede.core import nocython as cython

if TYPE_CHECKING:
    from cede.core.kernel import Kernel


class DriverPort:
    """How the kernel meets the world.

    ``quiet`` is true while nothing is registered: a look at the world could tell nothing, and the kernel then leaves out
    the looks it makes between two turns (it still comes here to sleep). ``asleep`` is true while `wait` has given up the GIL.
    ``holding`` is true while something was written that waits to be sent: the kernel calls `end_step` after each step of the program
    then, and `release` after each turn.
    """

    quiet: bool

    if not cython.compiled:
        asleep = False
        holding = False

    def wait(self, timeout: float) -> int:
        """Wait at most `timeout` seconds (below 0: for ever; 0: only look) and dispatch what happened.

        Returns after the first batch of events, a `wake()`, or a signal. Only KeyboardInterrupt and SystemExit pass through.
        """
        raise NotImplementedError

    def wake(self) -> None:
        """Make a sleeping `wait()` return soon. May be called from any thread and from a signal handler, any number of times."""
        raise NotImplementedError

    def end_step(self) -> int:
        """A step of the program is over: send what can wait no longer."""
        raise NotImplementedError

    def release(self) -> int:
        """A turn is over: send what was held until now."""
        raise NotImplementedError


class NoDriver(DriverPort):
    """What a closed kernel has in its driver's place: the two would keep each other alive otherwise."""

    def wait(self, timeout: float) -> int:
        raise RuntimeError("Event loop is closed")

    def wake(self) -> None:
        pass  # a thread may come too late to know

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError("Event loop is closed")


class OrderPort:
    """In which order the ready work of one turn runs, where that is not first in, first out."""

    def run_turn(self, kernel: Kernel) -> int:
        """Run what was ready when the turn began, by ``kernel.take(index)`` and ``kernel.run_one(runnable)``."""
        raise NotImplementedError
