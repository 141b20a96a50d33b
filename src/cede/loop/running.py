"""Running: `run_forever`, `run_until_complete`, `close`, and what a run borrows from the thread and gives back."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import warnings
from asyncio import events
from typing import TYPE_CHECKING, Any, TypeVar

from cede.core.scheduler.run_queue import CLOSED, FORKED, OPEN
from cede.core.task.registry import unregister
from cede.loop.mixin import LoopMixin
from cede.loop.run_state import Borrowed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from cede.core.scheduler.coop import Budget

T = TypeVar("T")
logger = logging.getLogger("asyncio")


class _StopWhenDone:
    """What one run adds to the future that it waits for. Called after that run was left, by an interrupt for one, it stops no other."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = False

    def __call__(self, future: asyncio.Future[Any]) -> None:
        if self.left or (not future.cancelled() and isinstance(future.exception(), (KeyboardInterrupt, SystemExit))):
            return  # the run is being left by that exception already
        future.get_loop().stop()


class RunningMixin(LoopMixin):
    """One run after another on one thread at a time, until `close`."""

    _borrowed: Borrowed
    _budget: Budget | None
    _cleared: bool

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
        try:
            self._borrowed.run(self)
        except RuntimeError:
            self._check_not_forked()  # from Python 3.14 on asyncio refuses to enter a task there, in words that do not help
            raise
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
        stop = _StopWhenDone()
        try:
            waited.add_done_callback(stop)
            self.run_forever()
        except BaseException:
            if ours and waited.done() and not waited.cancelled():
                waited.exception()  # it is what is being raised: the caller has no task to retrieve it from
            raise
        finally:
            stop.left = True  # it may be on the ring already
            waited.remove_done_callback(stop)
        if not waited.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return waited.result()

    def set_debug(self, enabled: bool) -> None:
        """Switch debug mode: checks of thread and argument, creation stacks, reports of slow callbacks. May be called
        while running.
        """
        self._debug = bool(enabled)
        if self.is_running():
            self.call_soon_threadsafe(self._borrowed.track_origins, self._debug)  # the depth belongs to the loop's thread

    # -- the end

    def close(self) -> None:
        """Close the loop: drop what is queued, let the executor's threads go, give back descriptors and signal
        handlers.

        May be called twice, and again where a signal's handler raised in it: then it does what is left to do. Raises RuntimeError while
        the loop runs.
        """
        if self.is_running() and self._state == OPEN:
            raise RuntimeError("Cannot close a running event loop")
        if self._state != OPEN and (self._state != CLOSED or self._cleared):
            return
        if self._debug:
            logger.debug("Close %r", self)
        try:
            if self._state == OPEN:
                try:
                    self._close_signals()
                    # While the loop is still open: what waited on it is cancelled, which schedules callbacks.
                    self.driver.close()
                except BaseException:  # a signal's handler raised
                    self.driver.close()
                    raise
        finally:
            self._mark_closed()
            self._drop_all()
            self._let_go_of_tasks()
            self._release_children()
            self._close_executor()
            self._close_names()
            self._cleared = True

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
