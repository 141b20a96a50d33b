# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""The run queue accepts work: `call_soon` and its relatives, called rightly or wrongly, from any thread, at any moment of a loop's life.

Invariants
----------
* Each method refuses at once, with an error that says what to do: what is not callable; in debug mode, a call from the wrong thread; a
  call on a loop that is closed, that belongs to the parent of this forked process, or that was never initialized.
* What other threads posted before a call of `call_soon` runs before the callback of that call. A post of the loop's own thread goes
  straight on the ready ring, behind everything that this thread has made ready before.
* Another thread may touch the inbox, and nothing else.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any

from cede.core.scheduler.inbox import Inbox
from cede.core.scheduler.ports import DriverPort, NoDriver
from cede.core.scheduler.python_ports import clock_port, inbox_port
from cede.core.scheduler.ready_queue import ReadyQueue
from cede.core.scheduler.timers import Heap, TimerHandle
from cede.core.task.handle import Handle, creation_stack
from cede.core.task.threadsafe_handle import ThreadSafeHandle

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import copy_context, monotonic, new, places, real_number

NO_DRIVER = NoDriver()

OPEN = 0
CLOSED = 1
FORKED = 2
UNBORN = 3

# A loop keeps at most this many empty handles for reuse: as many as one busy turn uses up.
SPARE_HANDLES = 256

# What a closing loop drops may wake one of its tasks once more. The loop drops what comes of that too, at most this many times.
DROPPED_AT_MOST = 100


class RunQueue:
    """The work that waits to run, and the methods that put it there. `Kernel` runs it."""

    if cython.compiled:

        def __cinit__(self, *args: Any, **kwargs: Any) -> None:
            # A subclass may forget to call __init__: its methods then raise an error instead of reading empty fields.
            self._ready = ReadyQueue()
            self._timers = Heap()
            self._inbox = Inbox(None)
            self.driver: Any = NO_DRIVER
            self.spares = [None] * SPARE_HANDLES
            self._state = UNBORN

    else:
        __slots__ = places(
            "__dict__", "__weakref__", "_clock", "_debug", "_inbox", "_ready", "_state", "_thread_id", "_timers", "driver"
        )

    def __init__(self, driver: DriverPort | None, clock: Any = None, inbox: Any = None) -> None:
        self._clock = clock_port(clock)
        self.driver = NO_DRIVER if driver is None else driver
        if cython.compiled:
            self.clock_replaced = self._clock is not None or type(self).time is not RunQueue.time
            self.spares = [None] * SPARE_HANDLES
            self.spare_count = 0
        self._ready = ReadyQueue()
        self._timers = Heap()
        self._inbox = inbox_port(inbox, driver)
        self._inbox.attach(self)
        self._debug = False
        self._state = OPEN
        self._thread_id = None

    # -- the clock port

    def time(self) -> float:
        """Seconds of the loop's clock: the monotonic one, or that which the loop was given; a subclass or the instance may replace this."""
        if self._clock is not None:
            return self._clock.seconds()
        return monotonic()

    def is_clock_replaced(self) -> bool:
        """Whether something else than the system tells the time."""
        if cython.compiled:
            return self.clock_replaced
        return self._clock is not None or type(self).time is not RunQueue.time or "time" in self.__dict__

    def _has_clock(self) -> bool:
        """Whether the loop was given a clock."""
        return self._clock is not None

    def later(self, delay: float) -> float:
        return self.now() + delay

    def now(self) -> float:
        """What the kernel reads the clock by. Compiled, it saves a method call as long as nobody has replaced `time`."""
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
            self._take_posts()  # earlier posts run first
        if cython.compiled:  # noqa: SIM114 - alone it is decided by the compiler, which leaves the rest out
            handle = self._new_handle(callback, args, context)
        elif self._debug:
            handle = self._new_handle(callback, args, context)
        else:
            # `_new_handle`, inlined to save a call.
            handle = new(Handle)
            handle._callback = callback
            handle._args = args
            handle._loop = self
            handle._context = copy_context() if context is None else context
            handle._cancelled = False
            handle._repr = handle._source_traceback = None
        self._ready.wake(handle)
        return handle

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Handle:
        """As `call_soon`, from any thread or signal handler; wakes the loop."""
        if cython.compiled:
            return quick_call_soon_threadsafe(self, callback, callback, args, context)
        self._check(callback, "call_soon_threadsafe")
        handle = ThreadSafeHandle(callback, args, self, context)
        if self._thread_id == threading.get_ident():
            self._post_from_home(handle)
        else:
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
            when = real_number(when)  # a value that cannot be compared would break the heap
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

    def _run_again(self, handle: Handle) -> None:
        """Put `handle`, which was interrupted, at the head of the ring: it runs next."""
        if handle is None:
            raise TypeError("_run_again(): handle must be a Handle, got None")
        self._ready.wake_first(handle)

    def _post_from_home(self, handle: Handle) -> int:
        """Put a post of the loop's own thread on the ready ring, behind all earlier posts."""
        if self._inbox.pending:
            self._take_posts()
        self._ready.wake(handle)
        self._inbox.ring()
        return 0

    def _take_posts(self) -> int:
        if not cython.compiled:
            # A signal handler runs where a call ends, and may raise there: at that point each post must be in exactly one place.
            ring: Any = self._ready
            if type(self._inbox) is not Inbox:
                ring += self._inbox.take_all()
                return 0
            self._inbox.pending = False
            items: Any = self._inbox.items
            while items:
                ring += (items[0],)
                del items[0]
            return 0
        posted = self._inbox.take_all()
        for item in posted:
            self._ready.wake(item)
        return 0

    if cython.compiled:

        def recycle(self, handle: Any) -> int:
            """Keep a finished handle that nobody else holds for the next `call_soon`: that is cheaper than a new one."""
            if nobody_else_holds(handle) and self.spare_count < SPARE_HANDLES:  # type: ignore # noqa: F821
                if not handle._cancelled and handle._source_traceback is None:
                    # `_loop` stays set to this loop; `_drop_all` releases the kept handles.
                    handle._callback = None
                    handle._args = None
                    handle._context = None
                    # A finalizer of what died just now may have run a turn, which kept handles too, or may have got hold of this one.
                    if nobody_else_holds(handle) and self.spare_count < SPARE_HANDLES:  # type: ignore # noqa: F821
                        slot_put(self.spares, self.spare_count, handle)  # type: ignore # noqa: F821
                        self.spare_count += 1
            return 0

    # -- state

    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._state != OPEN

    def is_running(self) -> bool:
        """Whether `run_forever` or `run_until_complete` is under way."""
        return self._thread_id is not None

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
        """In debug mode, raise if the caller is not on the loop's thread: such a call would corrupt the loop silently."""
        if self._debug and self._thread_id is not None and self._thread_id != threading.get_ident():
            raise RuntimeError(
                "Non-thread-safe operation invoked on an event loop other than the current one: "
                "use loop.call_soon_threadsafe() from another thread"
            )

    def _check_home(self) -> int:
        """In any mode, raise if the caller is not on the loop's thread: an eager step elsewhere would put two threads inside one loop."""
        if self._thread_id != threading.get_ident():
            raise RuntimeError(
                "an eager task takes its first step where it is made, which must be the thread of its loop: "
                "use asyncio.run_coroutine_threadsafe() from another thread"
            )
        return 0

    def _has_posts(self) -> bool:
        """Whether the inbox holds posts."""
        return bool(self._inbox.pending)

    def _hints(self) -> Any:
        """The flags by which this loop's thread and its workers know who waits without the GIL."""
        return self._inbox.gil_hints

    def _drop_all(self) -> int:
        """Forget all ready work and timers, when the loop closes."""
        if cython.compiled:
            self.spare_count = 0
            self.spares = [None] * SPARE_HANDLES
        for _ in range(DROPPED_AT_MOST):
            self._ready.clear()
            self._timers.clear()
            if not (self._inbox.drop() or self._ready.size() or self._timers.size()):
                break
        self.driver = NO_DRIVER
        self._inbox.driver = NO_DRIVER
        return 0


if cython.compiled:
    # methods.h calls these in place of `call_soon`, `call_later` and `call_at` when the arguments need no parsing.

    def quick_call_soon(scheduler: RunQueue, callback: Any, again: Any, args: Any, context: Any) -> Handle:
        if scheduler._state or scheduler._debug or not callable(callback):
            scheduler._check(callback, "call_soon")
            scheduler._check_thread()
        if scheduler._inbox.pending:
            scheduler._take_posts()
        handle = scheduler._new_handle(callback, args, context)
        scheduler._ready.wake(handle)
        return handle

    def quick_call_soon_threadsafe(scheduler: RunQueue, callback: Any, again: Any, args: Any, context: Any) -> Handle:
        if scheduler._state or scheduler._debug or not callable(callback):
            scheduler._check(callback, "call_soon_threadsafe")
        handle = ThreadSafeHandle.__new__(ThreadSafeHandle)
        handle._loop = scheduler
        handle._callback = callback
        handle._args = args
        handle._context = copy_context() if context is None else context
        if scheduler._debug:
            handle._source_traceback = creation_stack()
        if scheduler._thread_id is not None and cython.cast(cython.ulong, scheduler._thread_id) == this_thread():  # type: ignore # noqa: F821
            scheduler._post_from_home(handle)
        else:
            inbox = scheduler._inbox
            inbox.post(handle)
            inbox.let_take()  # type: ignore[attr-defined]
        return handle

    def quick_call_later(scheduler: RunQueue, delay: Any, callback: Any, args: Any, context: Any) -> TimerHandle:
        if delay is None:
            raise TypeError("call_later(): delay must be a number of seconds, got None")
        return scheduler._new_timer(scheduler.later(seconds_of(delay)), callback, args, context, "call_later")  # type: ignore # noqa: F821

    def quick_call_at(scheduler: RunQueue, when: Any, callback: Any, args: Any, context: Any) -> TimerHandle:
        if when is None:
            raise TypeError("call_at(): when must be a number, in seconds of loop.time(), got None")
        return scheduler._new_timer(seconds_of(when), callback, args, context, "call_at")  # type: ignore # noqa: F821

    install_call_soon(RunQueue, cython.cast("void *", quick_call_soon))  # type: ignore # noqa: F821
    install_call_soon_threadsafe(RunQueue, cython.cast("void *", quick_call_soon_threadsafe))  # type: ignore # noqa: F821
    install_call_later(RunQueue, cython.cast("void *", quick_call_later))  # type: ignore # noqa: F821
    install_call_at(RunQueue, cython.cast("void *", quick_call_at))  # type: ignore # noqa: F821


def is_coroutine_like(callback: Any) -> bool:
    """Whether `callback` is a coroutine or a coroutine function, which a callback must not be."""
    from asyncio import coroutines
    from inspect import iscoroutinefunction

    return coroutines.iscoroutine(callback) or iscoroutinefunction(callback)
