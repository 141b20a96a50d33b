# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""The kernel: a machine that is stepped.

One **turn** is: poll the driver, take the timers that are due, run what is ready. The kernel has no I/O, no thread and no
clock of its own; those come in through the ports (``cede.core.scheduler.ports``).

Invariants
----------
* A turn runs, in this order: what was ready before the poll; what other threads posted until the poll returned; the events that the poll
  brought; the timers that were due when the clock was read after the poll. What becomes ready meanwhile runs in the next turn. That is
  asyncio's order.
* If the poll brought events and nothing else is ready, the driver delivers them at once and the turn is over: the batch does not go on the
  ring. The loop then runs what the events woke before it polls again, unless the loop itself has acted meanwhile.
* A program may run a turn by hand inside a step of another turn. The inner turn takes over what the outer one has not run yet, the rest
  of its events first. The outer turn then ends where its share ends (`steps` counts what left the ring).
* The kernel polls once a turn, before it runs the ready work. It skips the poll in two cases. While nothing is registered with the driver
  (`idle`), a poll could bring nothing. After `EMPTY_POLLS` consecutive empty polls on a busy loop it skips up to `POLLS_SKIPPED` polls, but
  never lets `POLL_WITHIN` seconds pass without one, until a poll brings something. It skips no poll after the loop itself has done
  anything to a descriptor (`DriverPort.acted`): only the acts of other processes may be noticed late.
* A step is one item taken off the ring, or one event that the driver delivers. The kernel does what a step left for its end
  (`call_after_step`) before the next step begins, before the loop sleeps, and before a run ends, whatever ends it.
* A timer never runs early. Timers due together run by time, then in the order in which they were set.
* A KeyboardInterrupt or SystemExit leaves the turn at once; the work behind it stays on the ring for the next run.
* ``_announced_task`` is the task that the kernel last announced to asyncio as running. The kernel announces lazily: always before user
  code runs, so nobody can tell the difference, and never between two steps of the same task.
"""

from __future__ import annotations

from typing import Any

from cede.core.scheduler.ports import AfterStep, DriverPort
from cede.core.scheduler.python_ports import order_port, own_port
from cede.core.scheduler.run_queue import RunQueue
from cede.core.scheduler.slow_steps import report_if_slow
from cede.core.task.handle import Handle, Runnable

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import monotonic, places
    from cede.core.scheduler.ports import COLLECTED, NO_BATCH, QUEUED
    from cede.core.task.announce import tell_current

# For modules that are never compiled themselves.
COMPILED = bool(cython.compiled)

# asyncio's upper bound of one sleep, a day: no system call refuses it, and a clock that was set back does no lasting harm.
LONGEST_SLEEP = 24 * 3600.0

# An empty poll costs as much as two task switches. After EMPTY_POLLS consecutive empty polls on a busy loop, skip up to POLLS_SKIPPED
# polls, but never let POLL_WITHIN seconds pass without one.
EMPTY_POLLS = 64
POLLS_SKIPPED = 15
POLL_WITHIN = 50e-6


class Kernel(RunQueue):
    """The scheduler and its turns. `EventLoop` adds what asyncio calls a loop, and the exception handler."""

    if not cython.compiled:
        __slots__ = places(
            "_after_step",
            "_after_step_next",
            "_batches",
            "_empty_polls",
            "_order",
            "_spin_deadline",
            "_polled_at",
            "_running_ready",
            "_announced_task",
            "_skipped_polls",
            "_stopping",
            "_told_at_once",
            "events",
            "longest_step",
            "longest_step_of",
            "slow_callback_duration",
            "slow_cancel_duration",
            "steps",
            "turns",
            "watch_steps",
        )

    def __init__(self, driver: DriverPort | None = None, order: Any = None, clock: Any = None, inbox: Any = None) -> None:
        RunQueue.__init__(self, driver, clock, inbox)
        self._order = order_port(order)
        self.steps = 0
        self.events = 0
        self._after_step: list[Any] = []  # `end_step` puts None in place of what it has done
        self._after_step_next = 0
        self._batches = 0
        self._empty_polls = 0
        self._skipped_polls = 0
        self._polled_at = 0.0
        self._spin_deadline = 0.0
        self._announced_task = None
        self._stopping = False
        self._told_at_once = False
        self._running_ready = False
        self.slow_callback_duration = 0.1
        self.slow_cancel_duration = None
        self.turns = 0
        self.watch_steps = False
        self.longest_step = -1.0
        self.longest_step_of = None

    # -- the order port

    @property
    def order(self) -> Any:
        """The object that orders the work of a turn; None: first in, first out. See `cede.core.scheduler.python_ports`."""
        return own_port(self._order)

    @order.setter
    def order(self, order: Any) -> None:
        self._order = order_port(order)

    def _arrange(self) -> int:
        """Put the ring into the sequence that the order returns. If the order fails, the ring stays as it is."""
        order = self._order
        before = list(self._ready)
        if not before:
            return 0
        self.enter_callback()
        try:
            after = list(order.arranged(before.copy()))
            if sorted(map(id, after)) != sorted(map(id, before)):
                raise ValueError(
                    f"order.arrange(batch) must return the items of the batch, each once: of {len(before)} items it made {len(after)}, "
                    "or others"
                )
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            loop: Any = self
            message = "order.arrange(batch) has failed: the turn runs first in, first out"
            loop.call_exception_handler({"message": message, "exception": error})
            return 0
        self._ready.rearrange(before, after)  # does nothing if a turn that the order ran by hand has run them already
        return 0

    # -- which task runs

    def announce(self, task: Any) -> int:
        """Tell asyncio that `task` runs now (None: no task)."""
        # Uncompiled, a signal handler may interrupt `tell_current`: as long as `_announced_task` is set, the end of the run withdraws it.
        if task is not None:
            self._announced_task = task
        tell_current(self, task)
        self._announced_task = task
        return 0

    def enter_callback(self) -> int:
        """Call this before the driver runs user code that belongs to no task."""
        if self._announced_task is not None:
            self.announce(None)
        return 0

    def run_handle(self, handle: Handle) -> int:
        """Run a handle for the driver: like `run_one`, for a handle that was not on the ring."""
        if self._announced_task is not None:
            self.announce(None)
        if not (self._debug or self.watch_steps):
            handle.run_ready()
        else:
            began = monotonic()
            try:
                handle.run_ready()
            finally:
                report_if_slow(self, handle, monotonic() - began)
        handle = None  # type: ignore[assignment]  # uncompiled, a traceback may keep this frame: see task.py
        return 0

    # -- the end of a step

    def call_after_step(self, item: AfterStep) -> int:
        """Call ``item.after_step()`` when the running step is over, in the order of these calls."""
        self._after_step.append(item)
        return 0

    def end_step(self) -> int:
        """Do what the step left for its end: the step is over, or somebody needs it done now."""
        left = self._after_step
        while left:
            item: AfterStep = left[self._after_step_next]
            # Take it off the list first: `after_step` may call `call_after_step`, or run a turn by hand, which does the rest.
            left[self._after_step_next] = None
            self._after_step_next += 1
            if self._after_step_next == len(left):
                left.clear()
                self._after_step_next = 0
            try:
                item.after_step()
            except BaseException:  # uncompiled, a signal handler may have raised before `after_step` began
                if self._after_step_next > 0:
                    self._after_step_next -= 1
                    left[self._after_step_next] = item
                else:
                    left.insert(0, item)
                raise
        return 0

    def next_event(self) -> int:
        """The driver delivers one more thing of the same event: that is another step."""
        if self._after_step:
            self.end_step()
        self.events += 1
        return 0

    def _end_last_step(self) -> int:
        """Leave nothing behind when a run ends or this process forks, even if a signal handler raises."""
        failure: BaseException | None = None
        while self._after_step:
            try:
                self.end_step()
            except BaseException as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return 0

    # -- the turn

    def run_until_stopped(self) -> int:
        """Run turns until `stop` is called: at least one, which polls."""
        first = True
        outer = self._running_ready
        self._running_ready = False
        try:
            while True:
                try:
                    while True:
                        if first or not self._ready.size() or not self.driver.idle:
                            self._wait(first)  # the condition above spares the call where `_wait` would do nothing
                            first = False
                        self.turn()
                        if self._stopping:
                            return 0
                except BaseException as error:
                    # A runnable reports its own failures. If one cannot, that must not end the others' run: the rest is still on the ring.
                    if not self._running_ready or isinstance(error, (KeyboardInterrupt, SystemExit)):
                        raise
                    self._running_ready = False
                    self.report_ready(error)
        finally:
            self._running_ready = outer
            self._inbox.awake()
            self.enter_callback()
            self._end_last_step()

    def report_ready(self, error: BaseException) -> int:
        """A runnable has raised, which it should not."""
        loop: Any = self
        loop.call_exception_handler({"message": "What was ready to run has failed", "exception": error})
        return 0

    def _wait(self, look: bool) -> int:
        """Poll. If nothing is ready, sleep until an event, a post or the next timer."""
        driver = self.driver
        told = self._told_at_once
        self._told_at_once = False
        if driver.batch:
            return 0  # one batch at a time
        if self._after_step:
            self.end_step()  # in a turn run by hand inside a step, the loop would sleep on what that step wrote
        if self._ready.size() or self._stopping or self._inbox.pending:
            if look or (not driver.idle and (driver.acted or (not told and self._poll_is_due()))):
                self._empty_polls = 0 if driver.wait(0.0) else self._empty_polls + 1
            return 0
        self._empty_polls = 0
        timeout = -1.0
        if self._timers.size():
            now = self.now()  # the program may have replaced the clock by one that runs a turn by hand, or sets a timer
            if self._ready.size() or self._stopping or driver.batch:
                timeout = 0.0
            elif self._timers.size():
                timeout = self._timers.next_time() - now
                if timeout <= 0.0:
                    timeout = 0.0
                elif timeout > LONGEST_SLEEP:
                    timeout = LONGEST_SLEEP
        if timeout != 0.0:
            # Another thread may ask asyncio.current_task(loop) while this loop sleeps: the answer must be None.
            self.enter_callback()
            if self._spin_deadline and self._spin(timeout):
                if driver.idle:
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
        """A post is likely within `seconds`, some microseconds: a loop with nothing to do spins that long before it sleeps."""
        if self.is_clock_replaced():
            return 0
        self._spin_deadline = monotonic() + seconds
        return 0

    def _spin(self, timeout: float) -> bool:
        """Spin until `_spin_deadline`, at most `timeout` seconds. True if a post has come."""
        left = self._spin_deadline - monotonic()
        self._spin_deadline = 0.0
        if timeout >= 0.0:
            left = min(left, timeout)
        return left > 0.0 and self._inbox.spin(left)

    def _poll_is_due(self) -> bool:
        """Whether a busy loop has to poll before its next turn."""
        if self._empty_polls < EMPTY_POLLS or self.is_clock_replaced():
            return True  # the program's own clock cannot tell how late a poll would be, and the real clock must decide nothing then
        now = monotonic()
        if self._skipped_polls < POLLS_SKIPPED and now - self._polled_at < POLL_WITHIN:
            self._skipped_polls += 1
            return False
        self._skipped_polls = 0
        self._polled_at = now
        return True

    def turn(self) -> int:
        """Run what is ready now: the ring, posts, the driver's batch, due timers."""
        self.turns += 1
        ring = self._ready
        driver = self.driver
        if self._inbox.pending:
            self._take_posts()
        if (self._timers.size() or driver.batch or driver.signals) and self._bring():
            return 0
        end = self.steps + ring.size()
        if self._order is not None:
            self._arrange()
        self._running_ready = True
        if self._debug or self.watch_steps:
            while self.steps < end and ring.size():
                self.run_one(ring.popleft())
            self._running_ready = False
            return 0
        while True:
            if self._after_step:
                self.end_step()
            if self.steps >= end or not ring.size():
                break
            runnable = ring.popleft()
            self.steps += 1
            if runnable.is_task:
                runnable.run_ready()
                continue
            if self._announced_task is not None:
                self.announce(None)
            runnable.run_ready()
            if cython.compiled and type(runnable) is Handle:
                self.recycle(cython.cast(Handle, runnable))  # type: ignore[attr-defined]
        self._running_ready = False
        runnable = None  # uncompiled, a traceback may keep this frame: see task.py
        return 0

    def _bring(self) -> bool:
        """Put the driver's batch and the due timers on the ring. True if the batch was delivered at once instead, and the turn is over."""
        ring = self._ready
        driver = self.driver
        now = 0.0
        timed = self._timers.size() > 0
        if timed:
            now = self.now()
        if (driver.batch or driver.signals) and self._place_batch(timed, now):
            return True
        if timed:
            while self._timers.size() and self._timers.next_time() <= now:
                ring.wake(self._timers.pop())
        return False

    def _place_batch(self, timed: bool, now: float) -> bool:
        """Put the driver on the ring for its batch, or deliver the batch at once. True if it was delivered, and the turn is over."""
        driver = self.driver
        ring = self._ready
        if driver.batch == NO_BATCH:
            driver.batch = COLLECTED  # a batch of signals alone
        if driver.signals:
            driver.heard = True
        if driver.batch == COLLECTED:
            due = timed and self._timers.size() and self._timers.next_time() <= now
            if not (due or ring.size() or self._order is not None):
                self._told_at_once = True
                driver.tell()
                if self._after_step:
                    self.end_step()
                return True
            driver.batch = QUEUED
            self._batches += 1
            ring.wake(driver)
        elif driver.batch != QUEUED:
            # An interrupt, or the caller of this turn, left the batch half delivered: it was the first entry of the ring.
            driver.batch = QUEUED
            self._batches += 1
            ring.wake_first(driver)
        return False

    def _run_once(self) -> None:
        """Poll (sleep if nothing is ready) and run one turn: for tools that step a loop by hand."""
        outer = self._running_ready
        try:
            self._wait(True)
            self.turn()
        finally:
            self._running_ready = outer
            self.enter_callback()
            self._end_last_step()

    def ready_count(self) -> int:
        """How many items are ready."""
        return self._ready.size()

    def timer_count(self) -> int:
        """How many timers are set."""
        return self._timers.size()

    def run_one(self, runnable: Runnable) -> int:
        """Run one item. In debug mode, report a slow one; in debug mode, or with `watch_steps`, note the slowest one so far."""
        if runnable is None:
            raise TypeError("run_one(): runnable must be a Runnable, got None")
        if not runnable.is_task and self._announced_task is not None:
            self.announce(None)
        self.steps += 1
        if runnable is self.driver or not (self._debug or self.watch_steps):
            runnable.run_ready()  # the driver times each of its events itself
        else:
            began = monotonic()
            try:
                runnable.run_ready()
            finally:
                report_if_slow(self, runnable, monotonic() - began)
        if self._after_step:
            self.end_step()
        runnable = None  # uncompiled, a traceback may keep this frame: see task.py
        return 0

    def stop(self) -> None:
        """End the run after the current turn."""
        self._stopping = True
