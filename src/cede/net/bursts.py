# cython: auto_pickle=False
"""Bursts: what a step of the program writes in pieces leaves as one.

A web server writes the head of an answer, then its body; each `write` that goes out at once is a system call, a segment and a wake-up of
the peer. asyncio sends at once, and a program may count on it: it writes "working on it", then computes for a second. So a piece is held
only where that is known to pay, and never longer than the step.

Invariants
----------
* A connection holds the first piece of a step only when each of the HABIT steps before it that wrote at all wrote more than once. What is
  held leaves at the end of the step.
* Held in vain (nothing followed), it must show that habit FORGIVEN times longer; held in a step that took longer than that, nothing is
  held in the BARRED steps after it: that step had something else to do, and a peer waited for it.
* No more is held than the high-water mark allows to be queued, so that what is held asks no protocol to pause.
* Nothing is held while something is queued, nor outside of a step (no running loop, a loop that sleeps, another thread), nor in debug mode.
* Who drains a stream goes on when what is held is sent: a program may leave, or block, right after it.
* Whoever asks can tell no difference: what is held is not counted as queued, and it is sent before anything else is done with the socket
  (end of file, close, abort, a file, a look at the socket or at the size of the buffer).
"""

from __future__ import annotations

from typing import Any

from cede.core import originals
from cede.drivers.base import Driver
from cede.net.stream_state import StreamState

try:
    import cython
except ModuleNotFoundError:
    from cede.core import nocython as cython

if not cython.compiled:
    from cede.core.pure import is_this_thread
    from cede.net.pieces import keep, keep_rest

    HABIT = 2  # steps in a row that wrote more than once
    FORGIVEN = 64  # further such steps, after one that did not
    BARRED = 1024
    MOST = 64 * 1024  # bytes that are held; more go out at once
    PIECES = 512  # no more than one call to the system takes


class BurstState(StreamState):
    """What a stream transport holds until the end of a step, and whether it does so."""

    step: int  # in which was written last
    writes: int  # in that step
    habit: int
    barred: int
    held: list[Any] | None
    held_size: int

    def is_held(self, size: int) -> bool:
        """Take note of a write that could go out at once: whether it is to be held instead."""
        kernel = self.kernel
        if kernel._debug or not is_this_thread(kernel._thread_id):
            if self.held is not None:
                self.release()
            return False
        driver: Driver = kernel.driver
        step = kernel.steps + driver.calls
        if self.step == step:
            self.writes += 1
            return self.held is not None
        if self.writes > 1:
            if self.habit < HABIT:
                self.habit += 1
        elif self.habit > 0:
            self.habit = 0
        self.step = step
        self.writes = 1
        if self.held is not None:
            return True
        if self.barred > 0:
            self.barred -= 1
            return False
        return self.habit == HABIT and size <= MOST and size <= self.high and not driver.asleep

    def hold(self, data: Any) -> int:
        """Hold a piece; what is too much goes out, all in one."""
        if self.held is None:
            self.open_burst()
        self.held_size += keep(self.held, data, 0)
        return self.release_if_much()

    def hold_all(self, pieces: list[Any]) -> int:
        """As `hold`, for what was written together."""
        if self.held is None:
            self.open_burst()
        for data in pieces:
            self.held_size += keep(self.held, data, 0)
        return self.release_if_much()

    def release_if_much(self) -> int:
        # No more than the high-water mark: the protocol is asked to pause by the `write` that goes beyond it, never at the end of a step.
        if self.held_size > MOST or self.held_size > self.high or len(self.held) > PIECES:
            self.release()
        return 0

    def open_burst(self) -> int:
        self.held = []
        self.held_size = 0
        driver: Driver = self.kernel.driver
        driver.hold(self)
        return 0

    def release(self) -> int:
        """Send what is held."""
        pieces = self.held
        if pieces is None:
            return 0
        self.held = None
        kernel = self.kernel
        driver: Driver = kernel.driver
        if self.habit == HABIT and self.writes < 2:
            self.habit = HABIT - FORGIVEN
        if driver.late and self.step == kernel.steps + driver.calls:
            self.barred = BARRED
        if self.lost:
            return 0
        size = self.held_size
        try:
            taken = self.send(pieces)
            if taken < size and not self.lost:
                self.stream.want_writable(True)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            if driver.releasing:
                kernel.enter_callback()  # no task runs any more: whoever is told of it must not take the last one for his own
            return self.fail(error, "Fatal write error on socket transport")
        if taken < size and not self.lost:
            if self.queue is None:
                self.queue = []
            self.queued += keep_rest(self.queue, pieces, taken)
            self.pause_if_full()
        return 0

    def let_out(self) -> int:
        """Send what is held: somebody drains."""
        if self.held is not None:
            self.release()
        return 0

    def is_closing(self) -> bool:
        """Whether the transport is closed, or about to be. What asyncio's ``StreamWriter.drain()`` asks first, so what is held is sent."""
        if self.held is not None and isinstance(self.protocol, originals.FlowControlMixin):
            self.release()
        return bool(self.closing)

    def send(self, pieces: list[Any]) -> int:
        """How many bytes of `pieces` the system takes."""
        if len(pieces) == 1:
            return self.stream.write(pieces[0], 0)
        if len(pieces) <= PIECES:
            return self.stream.writev(pieces)
        taken = 0
        for start in range(0, len(pieces), PIECES):
            some = pieces[start : start + PIECES]
            count = self.stream.writev(some)
            taken += count
            if count < sum(map(len, some)):
                break
        return taken

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the watermarks, in bytes: 64 KiB by default, and a quarter of `high` for `low`.

        Raises ValueError unless ``high >= low >= 0``.
        """
        if self.held is not None:
            self.release()
        StreamState.set_write_buffer_limits(self, high, low)

    def get_write_buffer_size(self) -> int:
        """Bytes that were accepted by `write` and that the system has not taken yet."""
        if self.held is not None:
            self.release()
        return self.queued

    @property
    def _sock(self) -> Any:
        if self.held is not None:
            self.release()
        return StreamState._sock.__get__(self)  # type: ignore[attr-defined]

    @property
    def _buffer(self) -> list[Any]:
        if self.held is not None:
            self.release()
        return [] if self.queue is None else list(self.queue)

    def _socket_view(self) -> Any:
        if self.held is not None:
            self.release()
        return StreamState._socket_view(self)
