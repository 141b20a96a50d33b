# cython: boundscheck=False, nonecheck=False
"""The ports through which everything that is not deterministic enters the kernel.

=========  ==============================================  ===========================================
port       what it answers                                 in production
=========  ==============================================  ===========================================
clock      what time is it                                 ``Kernel.time()``: the monotonic clock
order      in which order the work of a turn runs          first in, first out, drained in place
driver     what happened outside                           epoll, or the portable selector
inbox      what did other threads and signals post         ``cede.core.scheduler.inbox.Inbox``
=========  ==============================================  ===========================================

A simulation replaces the ports and leaves the kernel as it is. The kernel calls the classes of this module, in C if it is compiled. A
port that is written in Python is an ordinary object, which the kernel wraps in a shell: python_ports.py says which methods it needs.
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
    """How the kernel meets the outside world.

    ``idle`` is true while nothing is registered: a poll could bring nothing, so the kernel skips the polls between two turns (it still
    calls `wait` to sleep). ``asleep`` is true while `wait` has given up the GIL. ``acted`` is true if this loop has sent, connected,
    registered, accepted or closed something since the last poll, or if a descriptor that the last poll reported may have more to
    report: the kernel does not skip the next poll then.

    A *batch* is what one poll brought: `wait` collects it, `tell` delivers it. The kernel puts the batch where asyncio would put the
    handles of those events, behind what was ready before and in front of the timers; its entry on the ring is the driver itself.
    ``batch`` says where the batch is: NO_BATCH; COLLECTED, the kernel has not placed it yet; QUEUED, the driver stands on the ring;
    TELLING, `tell` delivers it now, or an interrupt has left the rest of it, which comes before everything on the ring. The driver
    collects no other batch meanwhile.

    ``signals`` is true while signal handlers have left something for `signal_sink`; ``heard`` is true while the current batch includes
    that. As on asyncio, a signal that arrives after the poll, before the batch is delivered, waits for the next poll, unless another one
    came before the poll. Each event is a step of its own: see `cede.drivers.contract`.
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
        """Wait at most `timeout` seconds (negative: for ever; 0: poll) and collect what happened. Returns the number of events.

        Returns after the first batch of events, a `wake()`, or a signal. A signal handler may run in here; what it raises passes
        through, and the driver loses nothing of the batch.
        """
        raise NotImplementedError

    def tell(self) -> int:
        """Deliver the batch. Only KeyboardInterrupt and SystemExit pass through; the next call delivers the rest.

        A driver without descriptors delivers signals only.
        """
        self.batch = TELLING
        self.tell_signals(b"")
        self.batch = NO_BATCH
        return 0

    def tell_signals(self, numbers: bytes) -> int:
        """Call ``signal_sink(numbers)`` if there is one: `numbers` are the bytes read from the wake-up descriptor."""
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
    """A closed kernel puts this in the place of its driver, because the two would keep each other alive otherwise."""

    def wait(self, timeout: float) -> int:
        raise RuntimeError("Event loop is closed")

    def wake(self) -> None:
        pass  # another thread may post before it can know that the loop is closed

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError("Event loop is closed")


class AfterStep(Attributed):
    """An object that has work to do when the running step is over: see `Kernel.call_after_step`."""

    def after_step(self) -> int:
        """The step is over. This may ask for another call. Only KeyboardInterrupt and SystemExit pass through."""
        raise NotImplementedError


class ClockPort:
    """Tells the time."""

    def seconds(self) -> float:
        """Seconds since a moment that stays the same: never less than the time before, and no NaN."""
        raise NotImplementedError


class OrderPort:
    """Chooses the order in which the ready work of a turn runs, in place of first in, first out."""

    def arranged(self, batch: list[Any]) -> Any:
        """Return the items of `batch`, which is never empty, in the order in which they shall run: a new list, or the same one."""
        raise NotImplementedError
