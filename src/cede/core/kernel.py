# cython: auto_pickle=False
"""The kernel: a machine that is stepped.

One **turn** is: look at the world, take the timers that are due, run what is ready. The kernel has no I/O, no thread and no
clock of its own; those come in through the ports (``cede.core.ports``).

Invariants
----------
* What is on the ring when a turn begins runs in that turn; what becomes ready meanwhile runs in the next.
* The world is looked at once a turn, before the ready work. Two things make that rarer. While nothing is registered with the driver
  (`quiet`) a look could tell nothing. And a loop that has been busy for `PATIENCE` turns on end, in which each look found nothing, looks
  again after `LOOKS_SKIPPED` turns or `LOOK_WITHIN` seconds, whichever comes first, until a look finds something.
* A timer never runs early. Timers due together run by time, then in the order in which they were set.
* A KeyboardInterrupt or SystemExit leaves the turn at once; the work behind it stays on the ring for the next run.
* ``_shown`` is the task that asyncio was last told to be running. It is told lazily, when that changes: always before user
  code runs, so nobody can tell the difference, and never between two steps of the same task.
"""

from __future__ import annotations

from typing import Any

from cede.core.handle import Handle, Runnable
from cede.core.ports import DriverPort, OrderPort
from cede.core.scheduling import Scheduler
from cede.core.slow import report_if_slow

try:
    import cython
except ModuleNotFoundError:
    from cede.core import nocython as cython

if not cython.compiled:
    from cede.core.announce import tell_current
    from cede.core.inbox import STORM_PAUSE
    from cede.core.pure import monotonic, places

# For modules that are never compiled themselves.
COMPILED = bool(cython.compiled)

# asyncio's upper bound of one sleep, a day: no system call refuses it, and a clock that was set back does no lasting harm.
LONGEST_SLEEP = 24 * 3600.0

# A look that finds nothing costs as much as two task switches. After this many of them in a row, each before a turn of a loop that had work
# to do, up to so many are left out at a time, and none that would come later than so many seconds after the one before.
PATIENCE = 64
LOOKS_SKIPPED = 15
LOOK_WITHIN = 50e-6


class Kernel(Scheduler):
    """The scheduler and its turns. `EventLoop` adds what asyncio calls a loop, and the exception handler."""

    if not cython.compiled:
        __slots__ = places(
            "_fruitless",
            "_hope",
            "_looked",
            "_shown",
            "_skipped",
            "_stopping",
            "longest_step",
            "longest_step_of",
            "order",
            "slow_callback_duration",
            "slow_cancel_duration",
            "steps",
            "turns",
            "watch_steps",
        )

    def __init__(self, driver: DriverPort | None = None, order: OrderPort | None = None) -> None:
        Scheduler.__init__(self, driver)
        self.order = order
        self.steps = 0
        self._fruitless = 0
        self._skipped = 0
        self._looked = 0.0
        self._hope = 0.0
        self._shown = None
        self._stopping = False
        self.slow_callback_duration = 0.1
        self.slow_cancel_duration = None
        self.turns = 0
        self.watch_steps = False
        self.longest_step = -1.0
        self.longest_step_of = None

    # -- who runs

    def show(self, task: Any) -> int:
        """Tell asyncio that `task` runs now (None: no task)."""
        tell_current(self, task)
        self._shown = task
        return 0

    def enter_callback(self) -> int:
        """User code that is no task's is about to run, straight from the driver."""
        if self._shown is not None:
            self.show(None)
        return 0

    # -- the turn

    def run_until_stopped(self) -> int:
        """Turn after turn, until `stop` was called. At least one turn, with a look at the world in it."""
        first = True
        try:
            while True:
                if first or not self._ready.size() or not self.driver.quiet:
                    self._wait(first)  # where it would do nothing, the call is spared
                    first = False
                self.turn()
                if self.driver.holding:
                    self.driver.release()
                if self._stopping:
                    return 0
        finally:
            self._inbox.awake()
            self.enter_callback()
            self._release_all()

    def _release_all(self) -> int:
        """A run is over: nothing is held after it, even where a signal's handler raises."""
        failure: BaseException | None = None
        while self.driver.holding:
            try:
                self.driver.release()
            except BaseException as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return 0

    def _wait(self, look: bool) -> int:
        """Look at the world, asleep until the next timer where nothing is ready."""
        driver = self.driver
        if self._ready.size() or self._stopping or self._inbox.pending:
            if look or (not driver.quiet and self._look_is_due()):
                self._fruitless = 0 if driver.wait(0.0) else self._fruitless + 1
            return 0
        if driver.holding:
            driver.release()  # a turn that was run by hand, inside a step: the loop would sleep on what that step wrote
        self._fruitless = 0
        timeout = -1.0
        if self._timers.size():
            timeout = self._timers.next_time() - self.now()
            if timeout <= 0.0:
                timeout = 0.0
            elif timeout > LONGEST_SLEEP:
                timeout = LONGEST_SLEEP
        if timeout != 0.0:
            # A thread that asks asyncio.current_task(loop) of a sleeping loop is told the truth.
            self.enter_callback()
            if (self._hope or self._inbox.stormy) and self._spin(timeout):
                if driver.quiet:
                    return 0
                timeout = 0.0
            elif not self._inbox.about_to_sleep():
                timeout = 0.0
        try:
            driver.wait(timeout)
        finally:
            self._inbox.awake()
        return 0

    def expect_post(self, seconds: float) -> int:
        """A post is likely within so many seconds, a few millionths: a loop with nothing to do looks out for it before it sleeps."""
        self._hope = monotonic() + seconds
        return 0

    def _spin(self, timeout: float) -> bool:
        """Whether what was hoped for has come."""
        left = STORM_PAUSE if self._inbox.stormy else self._hope - monotonic()
        most = 3 * STORM_PAUSE
        self._hope = 0.0
        if timeout >= 0.0:
            left = min(left, timeout)
            most = min(most, timeout)
        return left > 0.0 and self._inbox.spin(left, most)

    def _look_is_due(self) -> bool:
        """Whether a busy loop is to look at the world before its next turn."""
        if self._fruitless < PATIENCE:
            return True
        now = monotonic()
        if self._skipped < LOOKS_SKIPPED and now - self._looked < LOOK_WITHIN:
            self._skipped += 1
            return False
        self._skipped = 0
        self._looked = now
        return True

    def turn(self) -> int:
        """Run what is ready now: posts, due timers, the ring."""
        self.turns += 1
        ring = self._ready
        driver = self.driver
        if self._inbox.pending:
            self._take_posts()
        if self._timers.size():
            now = self.now()
            while self._timers.size() and self._timers.next_time() <= now:
                ring.append(self._timers.pop())
        if self.order is not None:
            return self.order.run_turn(self)
        count = ring.size()
        if self._debug or self.watch_steps:
            while count > 0:
                count -= 1
                self.run_one(ring.popleft())
            return 0
        while count > 0:
            count -= 1
            runnable = ring.popleft()
            self.steps += 1
            if runnable.is_task:
                runnable.run_ready()
                if driver.holding:
                    driver.end_step()
                continue
            if self._shown is not None:
                self.show(None)
            runnable.run_ready()
            if driver.holding:
                driver.end_step()
            if cython.compiled and type(runnable) is Handle:
                self.recycle(cython.cast(Handle, runnable))  # type: ignore[attr-defined]
        runnable = None  # uncompiled, a traceback may keep this frame: see task.py
        return 0

    def _run_once(self) -> None:
        """One turn, with a look at the world (asleep where nothing is ready): for tools that step a loop by hand."""
        try:
            self._wait(True)
            self.turn()
        finally:
            self.enter_callback()
            self._release_all()

    def take(self, index: int) -> Runnable:
        """Remove from the ring the item `index` places behind its head, for an order of one's own."""
        if not 0 <= index < self._ready.size():
            raise IndexError(f"take(): index must be below {self._ready.size()}, the number of ready items, got {index}")
        return self._ready.take(index)

    def ready_count(self) -> int:
        """How many items are ready."""
        return self._ready.size()

    def timer_count(self) -> int:
        """How many timers are set."""
        return self._timers.size()

    def run_one(self, runnable: Runnable) -> int:
        """Run one item; in debug mode, report it if it was slow, and there or where steps are watched, note it if none was slower."""
        if runnable is None:
            raise TypeError("run_one(): runnable must be a Runnable, got None")
        if not runnable.is_task and self._shown is not None:
            self.show(None)
        self.steps += 1
        if not (self._debug or self.watch_steps):
            runnable.run_ready()
        else:
            began = monotonic()
            try:
                runnable.run_ready()
            finally:
                report_if_slow(self, runnable, monotonic() - began)
        if self.driver.holding:
            self.driver.end_step()
        runnable = None  # uncompiled, a traceback may keep this frame: see task.py
        return 0

    def stop(self) -> None:
        """End the run after the current turn."""
        self._stopping = True
