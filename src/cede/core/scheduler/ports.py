# cython: boundscheck=False, nonecheck=False
"""The ports through which everything that is not deterministic enters the kernel.

=========  ==============================================  ===========================================
port       what it answers                                 in production
=========  ==============================================  ===========================================
clock      what time is it                                 ``Kernel.time()``: the monotonic clock
order      in which order the work of a turn runs          first in, first out, drained in place
driver     what did the world do                           epoll, or the portable selector
inbox      what did other threads and signals post         ``cede.core.scheduler.inbox.Inbox``
=========  ==============================================  ===========================================

A simulation replaces the ports and leaves the kernel as it is. What stands here is what the kernel calls, in C where it is compiled. A
port that is written in Python is an ordinary object, which the kernel is given in a shell: python_ports.py says which methods it has.
"""

from __future__ import annotations

from typing import Any

from cede.core.task.attributed import Attributed
from cede.core.task.handle import Runnable

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    NO_BATCH = 0
    COLLECTED = 1
    QUEUED = 2
    TELLING = 3


class DriverPort(Runnable):
    """How the kernel meets the world.

    ``idle`` is true while nothing is registered: a look at the world could tell nothing, and the kernel then leaves out
    the looks it makes between two turns (it still comes here to sleep). ``asleep`` is true while `wait` has given up the GIL.
    ``acted`` is true once this loop has sent, connected, registered, accepted or closed something since the driver looked last, or where
    what it told of then may have more to tell: the next look is not left out then.

    What a look brought is a *batch*: the events of one `wait`, told by one `tell`. The kernel puts it where asyncio would put the handles
    of those events, behind what was ready before and in front of the timers, and the driver itself is the entry on the ring. ``batch``
    is where it is: NO_BATCH; COLLECTED, nobody has dealt with it yet; QUEUED, the driver stands on the ring; TELLING, `tell` has begun
    and is either under way or was left by an interrupt, and what is left of the batch comes before everything on the ring. While there
    is one, no other is collected. ``signals`` is true while a signal's handler has something to tell by `signal_sink`, which is told in a
    batch too, ``heard`` while the batch has that to tell. As on asyncio, where none had come at the look, one that
    comes before the batch is told waits for the next look. Each event is a step of its own: see `cede.drivers.contract`.
    """

    idle: bool

    if not cython.compiled:
        is_task = False
        asleep = False
        acted = False
        batch = NO_BATCH
        signals = False
        heard = False
        signal_sink: Any = None

    def wait(self, timeout: float) -> int:
        """Wait at most `timeout` seconds (below 0: for ever; 0: only look) and collect what happened: how many events.

        Returns after the first batch of events, a `wake()`, or a signal. A signal's handler may run here, and what it raises passes
        through; nothing of the batch is lost then.
        """
        raise NotImplementedError

    def tell(self) -> int:
        """Tell the batch to whom it concerns. Only KeyboardInterrupt and SystemExit pass through; the next call tells the rest.

        A driver that learns of nothing tells only of signals.
        """
        self.batch = TELLING
        self.tell_signals(b"")
        self.batch = NO_BATCH
        return 0

    def tell_signals(self, numbers: bytes) -> int:
        """Call ``signal_sink(numbers)`` if there is one: `numbers` are what the wake-up descriptor told."""
        self.signals = self.heard = False
        if self.signal_sink is not None:
            self.signal_sink(numbers)
        return 0

    def run_ready(self) -> int:
        return self.tell()

    def wake(self) -> None:
        """Make a sleeping `wait()` return soon. May be called from any thread and from a signal handler, any number of times."""
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


class AfterStep(Attributed):
    """Something that has work to do when the running step of the program is over: see `Kernel.call_after_step`."""

    def after_step(self) -> int:
        """The step is over. Whatever this runs may ask for another call. Only KeyboardInterrupt and SystemExit pass through."""
        raise NotImplementedError


class ClockPort:
    """What time it is."""

    def seconds(self) -> float:
        """Seconds since a moment that stays the same: never less than the time before, and no NaN."""
        raise NotImplementedError


class OrderPort:
    """In which order the ready work of one turn runs, where that is not first in, first out."""

    def arranged(self, batch: list[Any]) -> Any:
        """The items of `batch`, which is never empty, in the order in which they are to run: a new list, or the same one."""
        raise NotImplementedError
