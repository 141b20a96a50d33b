"""Running: `run_forever`, `run_until_complete`, `close`, and what a run borrows from the thread and gives back."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
import warnings
from asyncio import events
from typing import TYPE_CHECKING, Any, TypeVar

from cede.core.register import unregister
from cede.core.scheduling import FORKED, OPEN
from cede.loop.part import Part

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from cede.core.fairness import Budget

T = TypeVar("T")
logger = logging.getLogger("asyncio")

# As deep as asyncio's own debug mode looks for the place where a coroutine was made.
DEBUG_STACK_DEPTH = 10


def _stop_when_done(future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and isinstance(future.exception(), (KeyboardInterrupt, SystemExit)):
        return  # the run is being left by that exception already; a stop would end the next run instead
    future.get_loop().stop()


class RunningPart(Part):
    """One run after another on one thread at a time, until `close`."""

    _outer_origin_depth: int | None = None
    _budget: Budget | None

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} running={self.is_running()} closed={self.is_closed()} debug={self.get_debug()}"
            f" driver={type(self.driver).__name__}>"
        )

    @property
    def _clock_resolution(self) -> float:
        """Under asyncio's name for it; tools that replace the clock ask."""
        return time.get_clock_info("monotonic").resolution

    @property
    def _closed(self) -> bool:
        """Under asyncio's name for it; libraries and tests ask."""
        return self.is_closed()

    def _check_may_run(self) -> None:
        if self.is_running():
            raise RuntimeError("This event loop is already running")
        if events._get_running_loop() is not None:
            raise RuntimeError("Cannot run the event loop while another loop is running")

    def run_forever(self) -> None:
        """Run until `stop` is called.

        Raises RuntimeError when the loop is closed, runs already, or another loop runs on this thread.
        KeyboardInterrupt and SystemExit raised by a callback come out of here; what was ready behind it stays queued
        for the next run.
        """
        self._check_closed()
        self._check_may_run()
        self._enter_run()
        try:
            self.run_until_stopped()
        except RuntimeError:
            self._check_not_forked()  # from Python 3.14 on asyncio refuses to enter a task there, in words that do not help
            raise
        finally:
            self._leave_run()
        self._check_not_forked()

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Run until `future` is done; return its result or raise its exception. A coroutine is made a task first.

        Raises RuntimeError as `run_forever` does, and if the loop was stopped before `future` was done.
        """
        self._check_closed()
        self._check_may_run()
        ours = not asyncio.isfuture(future)
        waited: asyncio.Future[T] = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]
        if ours:
            # If it is left pending, the error below says so; nobody needs the finalizer's report.
            waited._log_destroy_pending = False  # type: ignore[attr-defined]
        waited.add_done_callback(_stop_when_done)
        try:
            self.run_forever()
        except BaseException:
            if ours and waited.done() and not waited.cancelled():
                waited.exception()  # it is what is being raised: the caller has no task to retrieve it from
            raise
        finally:
            waited.remove_done_callback(_stop_when_done)
        if not waited.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return waited.result()

    # -- what a run borrows

    def _enter_run(self) -> None:
        self._track_origins(self._debug)
        self._hook_asyncgens()
        self._thread_id = threading.get_ident()
        events._set_running_loop(self)
        if self._budget is not None:
            self._budget.open()
        self._arm_wakeup()

    def _leave_run(self) -> None:
        self._stopping = False
        if self._budget is not None:
            self._budget.close()
        self._thread_id = None
        if self._state != FORKED:
            self._disarm_wakeup()
        events._set_running_loop(None)
        self._unhook_asyncgens()
        self._track_origins(False)

    def _track_origins(self, wanted: bool) -> None:
        """In debug mode coroutines remember where they were made, for the "never awaited" warning."""
        if wanted and self._outer_origin_depth is None:
            self._outer_origin_depth = sys.get_coroutine_origin_tracking_depth()
            sys.set_coroutine_origin_tracking_depth(DEBUG_STACK_DEPTH)
        elif not wanted and self._outer_origin_depth is not None:
            sys.set_coroutine_origin_tracking_depth(self._outer_origin_depth)
            self._outer_origin_depth = None

    def set_debug(self, enabled: bool) -> None:
        """Switch debug mode: checks of thread and argument, creation stacks, reports of slow callbacks. May be called
        while running.
        """
        self._debug = bool(enabled)
        if self.is_running():
            self.call_soon_threadsafe(self._track_origins, self._debug)  # the depth belongs to the loop's thread

    # -- the end

    def close(self) -> None:
        """Close the loop: drop what is queued, let the executor's threads go, give back descriptors and signal
        handlers.

        May be called twice. Raises RuntimeError while the loop runs.
        """
        if self.is_running() and self._state == OPEN:
            raise RuntimeError("Cannot close a running event loop")
        if self._state != OPEN:
            return
        if self._debug:
            logger.debug("Close %r", self)
        try:
            self._close_signals()
            self.driver.close()  # while the loop is still open: what waited on it is cancelled, which schedules callbacks
        finally:
            self._mark_closed()
            self._drop_all()
            self._let_go_of_tasks()
            self._release_children()
            self._close_executor()
            self._close_names()

    def _let_go_of_tasks(self) -> None:
        """The registry holds a pending task for as long as its loop can run it; from now on it cannot."""
        for task in asyncio.all_tasks(self):
            unregister(task)

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if getattr(self, "_ready_to_close", False) and self._state == OPEN:  # not set where __init__ failed
            _warn(f"unclosed event loop {self!r}", ResourceWarning, source=self)
            if not self.is_running():
                self.close()

    def _check_not_forked(self) -> None:
        if self._state == FORKED:
            raise RuntimeError(
                f"this event loop belongs to process {self._home_pid} and cannot go on in process {os.getpid()}, "
                "which was forked from it while the loop ran: leave the child with os._exit(), "
                "or make a new loop there with cede.run() or cede.new_event_loop()"
            )
