# cython: auto_pickle=False
"""What a run borrows from its thread, and gives back: the mark of the running loop, hooks, the wake-up descriptor for signals.

A signal's handler may raise KeyboardInterrupt wherever Python looks for signals: where a Python function begins, where a call of it ends,
where a loop goes round. A run that was left there half-way would leave a thread that can run no loop any more.

Invariants
----------
* Everything is taken inside of the `try` whose end gives it back, so what was taken is given back, and nothing else.
* The two marks (`_thread_id`, and asyncio's running loop) go first: whatever else goes wrong then, loop and thread can run again.
* What is borrowed is written down where the call that borrows it can be seen to have begun, so each step may be made twice.
* Compiled, no step calls a Python function, so no handler runs between two of them. Uncompiled, one may, and then the second pass does what
  the first one left.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import warnings
from asyncio import events
from functools import partial
from threading import get_ident
from typing import Any

from cede.core.scheduler.run_queue import FORKED

# As deep as asyncio's own debug mode looks for the place where a coroutine was made.
DEBUG_STACK_DEPTH = 10

logger = logging.getLogger("asyncio")

set_wakeup_fd = signal.set_wakeup_fd
get_asyncgen_hooks = sys.get_asyncgen_hooks
set_asyncgen_hooks = sys.set_asyncgen_hooks
get_origin_depth = sys.get_coroutine_origin_tracking_depth
set_origin_depth = sys.set_coroutine_origin_tracking_depth

# A full pipe has signals in it already, so the loop wakes up.
quiet_wakeup_fd = partial(set_wakeup_fd, warn_on_full_buffer=False)


def on_main_thread() -> bool:
    """Whether this is the thread that signals are delivered to."""
    return threading.current_thread() is threading.main_thread()


class Borrowed:
    """What the runs of one loop borrow, one after the other."""

    def __init__(self) -> None:
        # Lists, which a C function fills: what it returns is in there before a signal's handler can run.
        self.hooks: list[Any] = []
        self.depths: list[int] = []
        self.outer_fds: list[int] = []
        self.giving_back = False

    def run(self, loop: Any) -> None:
        """Run `loop` until it is stopped, with all that a run borrows."""
        try:
            self.take(loop)
            loop.run_until_stopped()
        finally:
            try:
                self.give_back(loop)
            finally:
                self.give_back(loop)  # nothing is left to do, unless a signal's handler raised in the line above

    def take(self, loop: Any) -> None:
        self.giving_back = False
        loop._thread_id = get_ident()
        events._set_running_loop(loop)
        self.track_origins(loop._debug)
        self.hooks.append(get_asyncgen_hooks())
        set_asyncgen_hooks(firstiter=loop._asyncgen_begun, finalizer=loop._asyncgen_abandoned)
        if loop._budget is not None:
            loop._budget.open()
        self.arm(loop.driver)

    def give_back(self, loop: Any) -> None:
        loop._thread_id = None
        events._set_running_loop(None)
        loop._stopping = False
        if self.hooks:
            set_asyncgen_hooks(*self.hooks[0])
            self.hooks.clear()
        self.track_origins(False)
        if loop._budget is not None:
            loop._budget.close()
        if loop._state != FORKED:
            self.disarm(loop.driver)

    def track_origins(self, wanted: bool) -> None:
        """In debug mode coroutines remember where they were made, for the "never awaited" warning."""
        if wanted and not self.depths:
            self.depths.append(get_origin_depth())
            set_origin_depth(DEBUG_STACK_DEPTH)
        elif not wanted and self.depths:
            set_origin_depth(self.depths[0])
            self.depths.clear()

    # -- the wake-up descriptor

    def is_armed(self) -> bool:
        """Whether signals write to the loop's wake-up descriptor."""
        return bool(self.outer_fds)

    def arm(self, driver: Any) -> None:
        """Have each signal write to the driver's wake-up descriptor, where this thread is the one that signals are delivered to."""
        if self.outer_fds or not on_main_thread():
            return
        try:
            self.outer_fds.extend(map(quiet_wakeup_fd, (driver.wakeup_fd(),)))
        except ValueError:
            pass  # the main thread of an interpreter that gets no signals

    def disarm(self, driver: Any) -> None:
        if not self.outer_fds:
            return
        again, self.giving_back = self.giving_back, True
        outer = self.outer_fds[0]
        current = set_wakeup_fd(-1)
        if current != driver.wakeup_fd() and not (again and current == -1):
            self.outer_fds.clear()
            if current >= 0:  # somebody set their own meanwhile: it is theirs
                self.put_back(current)
            warnings.warn(
                f"the wake-up descriptor for signals was replaced while the event loop ran (it is {current} now): "
                "signals may have been noticed late; whoever replaces it has to set it back before the loop goes on",
                RuntimeWarning,
                stacklevel=2,
            )
            return
        if outer >= 0:
            self.put_back(outer)
        self.outer_fds.clear()

    def put_back(self, fd: int) -> None:
        try:
            quiet_wakeup_fd(fd)
        except (ValueError, OSError) as error:
            logger.info("the wake-up descriptor %d that was set before the run could not be restored: %s", fd, error)

    def disown(self) -> None:
        """In the child of a fork, inside a run: the descriptor is the parent's as well, and a signal here would wake it there."""
        if self.outer_fds:
            set_wakeup_fd(-1)
            self.outer_fds.clear()
