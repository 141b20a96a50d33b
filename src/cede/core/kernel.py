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
* Only the inbox may be touched by another thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any

from cede.core.handle import Handle, Runnable, creation_stack
from cede.core.inbox import Inbox
from cede.core.ports import DriverPort, NoDriver, OrderPort
from cede.core.ring import Ring
from cede.core.slow import report_if_slow
from cede.core.threadsafe import ThreadSafeHandle
from cede.core.timers import Heap, TimerHandle

try:
    import cython
except ModuleNotFoundError:
    from cede.core import nocython as cython

if not cython.compiled:
    from cede.core.announce import tell_current
    from cede.core.inbox import STORM_PAUSE
    from cede.core.pure import copy_context, monotonic, new, places, real_number

NO_DRIVER = NoDriver()

# For modules that are never compiled themselves.
COMPILED = bool(cython.compiled)

OPEN = 0
CLOSED = 1
FORKED = 2
UNBORN = 3

# asyncio's upper bound of one sleep, a day: no system call refuses it, and a clock that was set back does no lasting harm.
LONGEST_SLEEP = 24 * 3600.0

# A look that finds nothing costs as much as two task switches. After this many of them in a row, each before a turn of a loop that had work
# to do, up to so many are left out at a time, and none that would come later than so many seconds after the one before.
PATIENCE = 64
LOOKS_SKIPPED = 15
LOOK_WITHIN = 50e-6

# Shells of handles kept for reuse, a loop: what one busy turn uses up.
SPARE_HANDLES = 256


class Kernel:
    """Scheduler of one thread: ready work, timers, the turn. `EventLoop` adds what asyncio calls a loop, and the exception handler."""

    if cython.compiled:

        def __cinit__(self, *args: Any, **kwargs: Any) -> None:
            # Whoever forgets to call __init__ gets an error, not a look into empty fields.
            self._ready = Ring()
            self._timers = Heap()
            self._inbox = Inbox(None)
            self.driver: Any = NO_DRIVER
            self.spares = [None] * SPARE_HANDLES
            self._state = UNBORN

    else:
        __slots__ = places(
            "__dict__",
            "__weakref__",
            "_debug",
            "_fruitless",
            "_hope",
            "_inbox",
            "_looked",
            "_ready",
            "_shown",
            "_skipped",
            "_state",
            "_stopping",
            "_thread_id",
            "_timers",
            "driver",
            "order",
            "slow_callback_duration",
            "steps",
        )

    def __init__(self, driver: DriverPort | None = None, order: OrderPort | None = None) -> None:
        self.driver = driver
        self.order = order
        self.steps = 0
        self._fruitless = 0
        self._skipped = 0
        self._looked = 0.0
        self._hope = 0.0
        if cython.compiled:
            self.clock_replaced = type(self).time is not Kernel.time
            self.spares = [None] * SPARE_HANDLES
            self.spare_count = 0
        self._ready = Ring()
        self._timers = Heap()
        self._inbox = Inbox(driver)
        self._shown = None
        self._stopping = False
        self._debug = False
        self._state = OPEN
        self._thread_id = None
        self.slow_callback_duration = 0.1

    # -- the clock port

    def time(self) -> float:
        """Seconds of the loop's clock: the monotonic one, unless a subclass or the instance replaces this method."""
        return monotonic()

    def later(self, delay: float) -> float:
        return self.now() + delay

    def now(self) -> float:
        """The clock's reading, for the kernel: compiled, a method call less while nobody has replaced `time`."""
        if cython.compiled and not self.clock_replaced:
            return monotonic()
        return float(self.time())

    # -- scheduling

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Handle:
        """Run ``callback(*args)`` in the next turn, in `context` (a copy of the current one by default).

        Raises RuntimeError on a closed loop and, in debug mode, from a thread that is not the loop's; TypeError where
        `callback` cannot be called.
        """
        if cython.compiled:
            return quick_call_soon(self, callback, callback, args, context)
        if self._state or self._debug:
            self._check(callback, "call_soon")
            self._check_thread()
        elif not callable(callback):
            self._check(callback, "call_soon")
        if self._inbox.pending:
            self._take_posts()  # what was posted before this call runs before it
        if cython.compiled:  # noqa: SIM114 - alone it is decided by the compiler, which leaves the rest out
            handle = self._new_handle(callback, args, context)
        elif self._debug:
            handle = self._new_handle(callback, args, context)
        else:
            # The same in place: that spares a call.
            handle = new(Handle)
            handle._callback = callback
            handle._args = args
            handle._loop = self
            handle._context = copy_context() if context is None else context
            handle._cancelled = False
            handle._repr = handle._source_traceback = None
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Handle:
        """As `call_soon`, from any thread or signal handler; wakes the loop."""
        if cython.compiled:
            return quick_call_soon_threadsafe(self, callback, callback, args, context)
        self._check(callback, "call_soon_threadsafe")
        handle = ThreadSafeHandle(callback, args, self, context)
        self._inbox.post(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> TimerHandle:
        """Run ``callback(*args)`` in `delay` seconds, never sooner. A delay of 0 or less: in the next turn."""
        if cython.compiled:
            return quick_call_later(self, delay, callback, args, context)
        if delay is None:
            raise TypeError("call_later(): delay must be a number of seconds, got None")
        return self._new_timer(self.time() + delay, callback, args, context, "call_later")

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> TimerHandle:
        """Run ``callback(*args)`` when ``loop.time()`` has reached `when`, never sooner."""
        if cython.compiled:
            return quick_call_at(self, when, callback, args, context)
        if when is None:
            raise TypeError("call_at(): when must be a number, in seconds of loop.time(), got None")
        return self._new_timer(when, callback, args, context, "call_at")

    def _new_handle(self, callback: Any, args: Any, context: Context | None) -> Handle:
        if cython.compiled and self.spare_count:
            self.spare_count -= 1
            handle = cython.cast(Handle, slot_take(self.spares, self.spare_count))  # type: ignore # noqa: F821
        else:
            handle = Handle.__new__(Handle)
            handle._loop = self
        handle._callback = callback
        handle._args = args
        handle._context = copy_context() if context is None else context
        if self._debug:
            handle._source_traceback = creation_stack()
        return handle

    def _new_timer(self, when: float, callback: Any, args: Any, context: Context | None, name: str) -> TimerHandle:
        if self._state or self._debug:
            self._check(callback, name)
            self._check_thread()
        elif not callable(callback):
            self._check(callback, name)
        if not cython.compiled and type(when) is not float:
            when = real_number(when)  # what cannot be compared would spoil the heap
        if when != when:
            raise ValueError(f"{name}(): the time must not be NaN")
        if cython.compiled:
            timer = TimerHandle.__new__(TimerHandle)
        else:
            timer = new(TimerHandle)
            timer._cancelled = False
            timer._repr = timer._source_traceback = None
        timer._callback = callback
        timer._args = args
        timer._loop = self
        timer._context = copy_context() if context is None else context
        if self._debug:
            timer._source_traceback = creation_stack()
        timer._when = when
        self._timers.push(timer)
        return timer

    def push(self, runnable: Runnable) -> int:
        """Put `runnable` on the ready ring: it runs in the next turn."""
        if runnable is None:
            raise TypeError("push(): runnable must be a Runnable, got None")
        self._ready.append(runnable)
        return 0

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
                if self._stopping:
                    return 0
        finally:
            self._inbox.awake()
            self.enter_callback()

    def _wait(self, look: bool) -> int:
        """Look at the world, asleep until the next timer where nothing is ready."""
        driver = self.driver
        if self._ready.size() or self._stopping or self._inbox.pending:
            if look or (not driver.quiet and self._look_is_due()):
                self._fruitless = 0 if driver.wait(0.0) else self._fruitless + 1
            return 0
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

    def _take_posts(self) -> int:
        posted = self._inbox.take_all()
        if cython.compiled and self._inbox.stormy:
            fetch_handles(posted)  # type: ignore # noqa: F821
        for item in posted:
            self._ready.append(item)
        return 0

    def turn(self) -> int:
        """Run what is ready now: posts, due timers, the ring."""
        ring = self._ready
        if self._inbox.pending:
            self._take_posts()
        if self._timers.size():
            now = self.now()
            while self._timers.size() and self._timers.next_time() <= now:
                ring.append(self._timers.pop())
        if self.order is not None:
            return self.order.run_turn(self)
        count = ring.size()
        if self._debug:
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
                continue
            if self._shown is not None:
                self.show(None)
            runnable.run_ready()
            if cython.compiled and type(runnable) is Handle:
                self.recycle(cython.cast(Handle, runnable))  # type: ignore[attr-defined]
        runnable = None  # uncompiled, a traceback may keep this frame: see task.py
        return 0

    if cython.compiled:

        def recycle(self, handle: Any) -> int:
            """Keep the shell of a handle that nobody holds, for the next `call_soon`: cheaper than a new one."""
            if nobody_else_holds(handle) and self.spare_count < SPARE_HANDLES:  # type: ignore # noqa: F821
                if not handle._cancelled and handle._source_traceback is None:
                    # `_loop` stays, which is this one; `_drop_all` lets go of the shells.
                    handle._callback = None
                    handle._args = None
                    handle._context = None
                    slot_put(self.spares, self.spare_count, handle)  # type: ignore # noqa: F821
                    self.spare_count += 1
            return 0

    def _run_once(self) -> None:
        """One turn, with a look at the world (asleep where nothing is ready): for tools that step a loop by hand."""
        try:
            self._wait(True)
            self.turn()
        finally:
            self.enter_callback()

    def take(self, index: int) -> Runnable:
        """Remove from the ring the item `index` places behind its head, for an order of one's own."""
        if not 0 <= index < self._ready.size():
            raise IndexError(f"take(): index must be below {self._ready.size()}, the number of ready items, got {index}")
        return self._ready.take(index)

    def ready_count(self) -> int:
        """How many items are ready."""
        return self._ready.size()

    def run_one(self, runnable: Runnable) -> int:
        """Run one item; in debug mode, report it if it was slow."""
        if runnable is None:
            raise TypeError("run_one(): runnable must be a Runnable, got None")
        if not runnable.is_task and self._shown is not None:
            self.show(None)
        self.steps += 1
        if not self._debug:
            runnable.run_ready()
        else:
            began = monotonic()
            try:
                runnable.run_ready()
            finally:
                report_if_slow(self, runnable, monotonic() - began)
        runnable = None  # uncompiled, a traceback may keep this frame: see task.py
        return 0

    def stop(self) -> None:
        """End the run after the current turn."""
        self._stopping = True

    # -- state

    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._state != OPEN

    def get_debug(self) -> bool:
        """Whether the loop is in debug mode."""
        return bool(self._debug)

    def _refuse(self) -> int:
        if self._state == CLOSED:
            raise RuntimeError("Event loop is closed")
        if self._state == FORKED:
            raise RuntimeError(
                f"this event loop belongs to the parent process {getattr(self, '_home_pid', '')} and cannot be used after a fork: "
                f"make a new one in this process ({os.getpid()}), with asyncio.run() or cede.new_event_loop()"
            )
        if self._state == UNBORN:
            raise RuntimeError("the event loop is not initialized: call its __init__ first")
        return 0

    def _check_closed(self) -> None:
        if self._state:
            self._refuse()

    def _check(self, callback: Any, method: str) -> int:
        if self._state:
            self._refuse()
        if not callable(callback):
            raise TypeError(f"a callable object was expected by {method}(), got {callback!r}")
        if self._debug and is_coroutine_like(callback):
            raise TypeError(f"coroutines cannot be used with {method}()")
        return 0

    def _check_thread(self) -> None:
        """In debug mode: a call from another thread than the loop's would corrupt it silently, so it raises."""
        if self._debug and self._thread_id is not None and self._thread_id != threading.get_ident():
            raise RuntimeError(
                "Non-thread-safe operation invoked on an event loop other than the current one: "
                "use loop.call_soon_threadsafe() from another thread"
            )

    def _check_home(self) -> int:
        """In any mode: what runs a task's step at once must be on the loop's thread, or two threads are inside one loop."""
        if self._thread_id != threading.get_ident():
            raise RuntimeError(
                "an eager task takes its first step where it is made, which must be the thread of its loop: "
                "use asyncio.run_coroutine_threadsafe() from another thread"
            )
        return 0

    def _drop_all(self) -> int:
        """Forget all ready work and timers, when the loop closes."""
        self._ready.clear()
        self._timers.clear()
        self._inbox.items.clear()
        if cython.compiled:
            self.spares = [None] * SPARE_HANDLES
            self.spare_count = 0
        self.driver = NO_DRIVER
        self._inbox.driver = NO_DRIVER
        return 0


if cython.compiled:
    # What `call_soon`, `call_later` and `call_at` are when called with arguments that need no parsing: see methods.h.

    def quick_call_soon(kernel: Kernel, callback: Any, again: Any, args: Any, context: Any) -> Handle:
        if kernel._state or kernel._debug or not callable(callback):
            kernel._check(callback, "call_soon")
            kernel._check_thread()
        if kernel._inbox.pending:
            kernel._take_posts()
        handle = kernel._new_handle(callback, args, context)
        kernel._ready.append(handle)
        return handle

    def quick_call_soon_threadsafe(kernel: Kernel, callback: Any, again: Any, args: Any, context: Any) -> Handle:
        if kernel._state or kernel._debug or not callable(callback):
            kernel._check(callback, "call_soon_threadsafe")
        handle = ThreadSafeHandle.__new__(ThreadSafeHandle)
        handle._loop = kernel
        handle._callback = callback
        handle._args = args
        handle._context = copy_context() if context is None else context
        if kernel._debug:
            handle._source_traceback = creation_stack()
        inbox = kernel._inbox
        inbox.post(handle)
        if inbox.is_storm() and kernel._thread_id != threading.get_ident():
            inbox.let_drain()
        return handle

    def quick_call_later(kernel: Kernel, delay: Any, callback: Any, args: Any, context: Any) -> TimerHandle:
        if delay is None:
            raise TypeError("call_later(): delay must be a number of seconds, got None")
        return kernel._new_timer(kernel.later(seconds_of(delay)), callback, args, context, "call_later")  # type: ignore # noqa: F821

    def quick_call_at(kernel: Kernel, when: Any, callback: Any, args: Any, context: Any) -> TimerHandle:
        if when is None:
            raise TypeError("call_at(): when must be a number, in seconds of loop.time(), got None")
        return kernel._new_timer(seconds_of(when), callback, args, context, "call_at")  # type: ignore # noqa: F821

    install_call_soon(Kernel, cython.cast("void *", quick_call_soon))  # type: ignore # noqa: F821
    install_call_soon_threadsafe(Kernel, cython.cast("void *", quick_call_soon_threadsafe))  # type: ignore # noqa: F821
    install_call_later(Kernel, cython.cast("void *", quick_call_later))  # type: ignore # noqa: F821
    install_call_at(Kernel, cython.cast("void *", quick_call_at))  # type: ignore # noqa: F821


def is_coroutine_like(callback: Any) -> bool:
    """A coroutine or a coroutine function, which a callback must not be."""
    from asyncio import coroutines
    from inspect import iscoroutinefunction

    return coroutines.iscoroutine(callback) or iscoroutinefunction(callback)
