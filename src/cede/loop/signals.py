"""Signals: handlers that run as callbacks of the loop, and a sleep that any signal ends.

Two things have to happen when a signal arrives: Python's own handler must run, which it does between two bytecodes of
the main thread, and the main thread must get there although it may be asleep in the kernel. The second is what the
wake-up descriptor is for. It is set for every run on the main thread, whether or not a handler was added, because
without it a signal that lands just before the sleep begins would be noticed only when something else ends the sleep.
The handler itself takes note, so none is lost when the descriptor is full, and the driver tells of it with the next batch
of events. Only where a program put a handler of its own in place of ours, by `signal.signal`, do the bytes in the
descriptor decide: both its handler and the loop's callback run then, as on asyncio's loop, which knows the bytes alone.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
import signal
import sys
import warnings
import weakref
from typing import TYPE_CHECKING, Any

from cede.core.task.handle import Handle
from cede.loop.mixin import LoopMixin
from cede.loop.run_state import on_main_thread

if TYPE_CHECKING:
    from collections.abc import Callable

# Which loop handles which signal. Weak: a handler left behind must not keep its loop alive.
_owners: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def _on_signal(signum: int, frame: Any) -> None:
    loop = _owners.get(signum)
    if loop is not None:
        loop._signal_arrived(signum)


def check_signal(sig: Any) -> None:
    """Raises TypeError for what is no number, ValueError for a number that is no signal."""
    if not isinstance(sig, int):
        raise TypeError(f"sig must be an int, not {sig!r}")
    if sig not in signal.valid_signals():
        raise ValueError(f"invalid signal number {sig}")


class SignalsMixin(LoopMixin):
    """``add_signal_handler``; the wake-up descriptor is among what a run borrows (`run_state`)."""

    _signal_handlers: dict[int, Handle]
    _signals_heard: dict[int, int]
    _signals_due: list[int]

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        """Have ``callback(*args)`` run by the loop when `sig` arrives; replaces an earlier handler of that signal.

        Raises TypeError or ValueError for a bad `sig`, TypeError for a coroutine, RuntimeError outside the main thread,
        on a closed loop, and for a signal that cannot be caught.
        """
        if asyncio.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        check_signal(sig)
        self._check_closed()
        if not callable(callback):
            raise TypeError(f"add_signal_handler(): callback must be callable, got {callback!r}")
        if not on_main_thread():
            raise RuntimeError("add_signal_handler() works only in the main thread of the main interpreter")
        try:
            signal.signal(sig, _on_signal)
        except (OSError, ValueError) as error:
            if isinstance(error, ValueError) or error.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught") from error
            raise
        # Where the kernel can restart an interrupted call of the program's, it should.
        signal.siginterrupt(sig, False)
        self._signal_handlers[sig] = Handle(callback, args, self, None)
        _owners[sig] = self
        self.driver.signal_sink = self._signals_written
        if self.is_running():
            self._borrowed.arm(self.driver)

    def remove_signal_handler(self, sig: int) -> bool:
        """Give `sig` its default behaviour back. Returns whether there was a handler of this loop.

        Raises TypeError or ValueError for a bad `sig`.
        """
        check_signal(sig)
        if self._signal_handlers.pop(sig, None) is None:
            return False
        self._signals_heard.pop(sig, None)
        if not self._signal_handlers and not self._signals_due:
            # Those that have come are told to whoever hears of them in their batch, or to nobody: not to who asks for the signal later.
            self.driver.signal_sink = None
        if _owners.get(sig) is not self:
            return True  # another loop took the signal over
        del _owners[sig]
        default = signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL
        try:
            signal.signal(sig, default)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught") from error
            raise
        return True

    def _signal_arrived(self, sig: int) -> None:
        """Called by Python between two bytecodes of the main thread, which may be in the middle of anything."""
        handle = self._signal_handlers.get(sig)
        if handle is not None and not handle._cancelled and not self.is_closed():
            if self._borrowed.is_armed():  # or there is no byte of it
                self._signals_heard[sig] = self._signals_heard.get(sig, 0) + 1
            self._signals_due.append(sig)
            self.driver.signals = True
            self.driver.wake()

    def _signals_written(self, numbers: bytes) -> None:
        """Called by the driver, in a batch of events, after Python's handlers ran: `numbers` are the signals that woke it."""
        due, self._signals_due = self._signals_due, []
        for sig in due:
            heard = self._signal_handlers.get(sig)
            if heard is not None and not heard._cancelled:
                self.call_soon(heard._run)
        for sig, handle in [*self._signal_handlers.items()]:
            # Of a signal that came again before the handler replaced ours, some may have been heard by it.
            count = numbers.count(sig) - self._signals_heard.get(sig, 0)
            if count > 0 and not handle._cancelled and signal.getsignal(sig) is not _on_signal:
                for _ in range(count):
                    self.call_soon(handle._run)
        if numbers:
            self._signals_heard.clear()  # their bytes were read with these

    def _give_signals_back_in_child(self) -> None:
        """After a fork: a handler that posts to a loop which will not run would make the child deaf to the signal."""
        for sig in list(self._signal_handlers):
            if _owners.get(sig) is self:
                del _owners[sig]
                signal.signal(sig, signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL)
        self._signal_handlers.clear()

    def _close_signals(self) -> None:
        if not self._signal_handlers:
            return
        if sys.is_finalizing():
            warnings.warn(
                f"Closing the loop {self!r} at interpreter shutdown: its signal handlers are left in place",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
            self._signal_handlers.clear()
            return
        if not on_main_thread():
            # Only the main thread may change handlers; ours finds no loop any more and does nothing.
            self._signal_handlers.clear()
            return
        for sig in list(self._signal_handlers):
            self.remove_signal_handler(sig)
