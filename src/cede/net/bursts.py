# cython: auto_pickle=False, nonecheck=True
"""Bursts: what one step of the program writes in pieces goes out as one.

A web server writes the head of an answer, then its body; each `write` that goes out at once is a system call, a segment and a wake-up of
the peer. asyncio sends at once, and a program may count on it: it writes "working on it", then computes for a second. So a piece is held
only where others have followed before, and is sent when the step that wrote it is over.

Invariants
----------
* A connection holds the first piece of a step only when each of the HABIT steps before it that wrote at all wrote more than once.
  Held in vain (nothing followed), it must show that habit FORGIVEN times longer; held for more than LATE seconds, never again: then the
  step had something else to do, and a peer waited for it.
* Nothing is held while something is queued, nor outside of a step (no running loop, a loop that sleeps, another thread), nor in debug mode.
* Whoever asks can tell no difference: what is held is not counted as queued, and it is sent before anything else is done with the socket
  (end of file, close, abort, a file, a look at the socket or at the size of the buffer).
"""

from __future__ import annotations

from typing import Any

from cede.drivers.base import Driver
from cede.net.stream_state import StreamState

try:
    import cython
except ModuleNotFoundError:
    from cede.core import nocython as cython

if not cython.compiled:
    from cede.core.pure import is_this_thread, monotonic
    from cede.net.pieces import keep, keep_rest

    HABIT = 2  # steps in a row that wrote more than once
    FORGIVEN = 64  # further such steps, after one that did not
    NEVER = -(1 << 30)
    MOST = 64 * 1024  # bytes that are held; more go out at once

LATE = 0.001


class BurstState(StreamState):
    """What a stream transport holds until the end of a step, and whether it does so."""

    step: int  # of the kernel, in which was written last
    writes: int  # in that step
    habit: int
    held: list[Any] | None
    held_size: int
    held_since: float

    def begins_burst(self, size: int) -> bool:
        """Take note of a write that could go out at once: whether it is to be held instead."""
        kernel = self.kernel
        if self.step == kernel.steps:
            self.writes += 1
            return False
        if self.writes > 1:
            if self.habit < HABIT:
                self.habit += 1
        elif self.habit > 0:
            self.habit = 0
        self.step = kernel.steps
        self.writes = 1
        return (
            self.habit == HABIT
            and size <= MOST
            and not kernel._debug
            and not kernel.driver.asleep
            and is_this_thread(kernel._thread_id)
        )

    def hold(self, data: Any) -> int:
        """Hold a piece until the step is over; what is too much goes out, all in one."""
        self.open_burst()
        self.held_size += keep(self.held, data, 0)
        if self.held_size > MOST:
            self.release()
        return 0

    def hold_all(self, pieces: list[Any]) -> int:
        """As `hold`, for what was written together."""
        self.open_burst()
        for data in pieces:
            self.held_size += keep(self.held, data, 0)
        if self.held_size > MOST:
            self.release()
        return 0

    def open_burst(self) -> int:
        """The first piece, or one more."""
        if self.held is not None:
            self.writes += 1
            return 0
        driver: Driver = self.kernel.driver
        self.held = []
        self.held_size = 0
        self.held_since = monotonic()
        driver.hold(self)
        return 0

    def release(self) -> int:
        """Send what is held."""
        pieces = self.held
        if pieces is None:
            return 0
        self.held = None
        if self.writes < 2:
            self.habit = HABIT - FORGIVEN
        if monotonic() - self.held_since > LATE:
            self.habit = NEVER
        if self.lost:
            return 0
        try:
            taken = self.stream.write(pieces[0], 0) if len(pieces) == 1 else self.stream.writev(pieces)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return self.fail(error, "Fatal write error on socket transport")
        if taken < self.held_size:
            if self.queue is None:
                self.queue = []
            self.queued += keep_rest(self.queue, pieces, taken)
            self.stream.want_writable(True)
            self.pause_if_full()
        return 0

    def get_write_buffer_size(self) -> int:
        """Bytes that were accepted by `write` and that the system has not taken yet."""
        if self.held is not None:
            self.release()
        return self.queued

    @property
    def _buffer(self) -> list[Any]:
        if self.held is not None:
            self.release()
        return [] if self.queue is None else self.queue

    def _socket_view(self) -> Any:
        if self.held is not None:
            self.release()
        return StreamState._socket_view(self)
