# cython: auto_pickle=False
"""Bursts: what a step of the program writes in pieces leaves as one.

A web server writes the head of an answer, then its body; each `write` that goes out at once is a system call, a segment and a wake-up of
the peer. asyncio sends at once, and a program may count on it: it writes "working on it", then computes for a second. So a piece is held
only where that is known to pay, and never longer than the step.

Invariants
----------
* A connection holds the first piece of a step only when each of the STREAK steps before it that wrote at all wrote more than once. What is
  held leaves when the step is over (`Kernel.call_after_step`), connections in the order in which they began to hold.
* Held in vain (nothing followed), it must show that habit FORGIVEN times longer; held in a step that went on for longer than TOO_LONG,
  BARRED times: that step had something else to do, and a peer waited for it. ("times": of steps that wrote more than once.)
* No more is held than the high-water mark allows to be queued, so that what is held asks no protocol to pause.
* Nothing is held while something is queued, nor outside of a step (no running loop, a loop that sleeps, another thread), nor in debug mode.
* Who drains a stream goes on when what is held is sent: a program may leave, or block, right after it.
* Whoever asks can tell no difference: what is held is not counted as queued, and it is sent before anything else is done with the socket
  (end of file, close, abort, a file, a look at the socket or at the size of the buffer).
* What was held is no longer held when it is given to the system: that may run the program, which may write, or run a turn by hand.
"""

from __future__ import annotations

import math
from typing import Any

from cede.core import stdlib
from cede.net.stream.state import StreamState

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import is_this_thread
    from cede.net.write_buffer import keep, keep_rest

    STREAK = 2  # steps in a row that wrote more than once
    FORGIVEN = 64
    BARRED = 1024
    MOST = 64 * 1024  # bytes that are held; more go out at once
    PIECES = 512  # no more than one call to the system takes

TOO_LONG = 0.001  # seconds, by the loop's clock
NOT_YET = math.inf


class BurstState(StreamState):
    """What a stream transport holds until the end of a step, and whether it does so."""

    step: int  # in which was written last
    writes: int  # in that step
    multi_write_streak: int  # steps in a row that wrote more than once, STREAK at most; below 0 after a lesson
    held: list[Any] | None
    held_size: int
    held_since: float

    def is_held(self, size: int) -> bool:
        """Take note of a write that could go out at once: whether it is to be held instead."""
        kernel = self.kernel
        if kernel._debug or not is_this_thread(kernel._thread_id):
            self.let_out()
            return False
        step = kernel.steps + kernel.events
        if self.step == step:
            self.writes += 1
            return self.held is not None
        if self.writes > 1:
            if self.multi_write_streak < STREAK:
                self.multi_write_streak += 1
        elif self.multi_write_streak > 0:
            self.multi_write_streak = 0
        self.step = step
        self.writes = 1
        if self.held is not None:
            return True
        return self.multi_write_streak == STREAK and size <= MOST and size <= self.high and not kernel.driver.asleep

    def hold(self, pieces: list[Any]) -> int:
        """Hold what was written; what is too much goes out, all in one."""
        first = self.held is None
        if self.held is None:
            self.held = []
            self.held_size = 0
            self.held_since = NOT_YET
            self.kernel.call_after_step(self)
        for data in pieces:
            self.held_size += keep(self.held, data, 0)
        # No more than the high-water mark: the protocol is asked to pause by the `write` that goes beyond it, never at the end of a step.
        if self.held_size > MOST or self.held_size > self.high or len(self.held) > PIECES:
            self.let_out()
        elif first:
            self.held_since = self.kernel.now()  # last: a clock of the program's may do anything
        return 0

    def after_step(self) -> int:
        return self.send_held(True)

    def let_out(self) -> int:
        """Send what is held: somebody drains, or looks."""
        return self.send_held(False)

    def send_held(self, between: bool) -> int:
        """Send what is held, and learn from it. `between` two steps nobody runs."""
        if self.held is None:
            return 0
        late = False
        try:
            # Now: sending takes its time, above all where the system gives the CPU to whoever receives. A clock of the program's may raise.
            late = self.kernel.now() - self.held_since > TOO_LONG
        finally:
            pieces, self.held = self.held, None
            if pieces is not None:  # else the clock has looked
                if late:
                    self.multi_write_streak = STREAK - BARRED
                elif self.writes < 2:
                    self.multi_write_streak = STREAK - FORGIVEN
                if not self.lost:
                    self.send_all(pieces, self.held_size, between)
        return 0

    def send_all(self, pieces: list[Any], size: int, between: bool) -> int:
        """Send as much of `pieces` as the system takes, and queue the rest."""
        taken = 0
        try:
            if len(pieces) > PIECES:
                pieces = [b"".join(pieces)]
            taken = self.stream.write(pieces[0], 0) if len(pieces) == 1 else self.stream.writev(pieces)
            if taken < size and not self.lost:
                self.stream.want_writable(True)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            if between:
                self.kernel.enter_callback()  # whoever is told of it must not take the last task for his own
            return self.fail(error, "Fatal write error on socket transport")
        if taken < size and not self.lost:
            if self.queue is None:
                self.queue = []
            self.queued += keep_rest(self.queue, pieces, taken)
            self.pause_if_full()
        return 0

    def is_closing(self) -> bool:
        """Whether the transport is closed, or about to be. What asyncio's ``StreamWriter.drain()`` asks first, so what is held is sent."""
        if self.held is not None and isinstance(self.protocol, stdlib.FlowControlMixin):
            self.let_out()
        return bool(self.closing)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the watermarks, in bytes: 64 KiB by default, and a quarter of `high` for `low`.

        Raises ValueError unless ``high >= low >= 0``.
        """
        self.let_out()
        StreamState.set_write_buffer_limits(self, high, low)

    def get_write_buffer_size(self) -> int:
        """Bytes that were accepted by `write` and that the system has not taken yet."""
        self.let_out()
        return self.queued

    @property
    def _sock(self) -> Any:
        self.let_out()
        return StreamState._sock.__get__(self)  # type: ignore[attr-defined]

    @property
    def _buffer(self) -> list[Any]:
        self.let_out()
        return [] if self.queue is None else list(self.queue)

    def _socket_view(self) -> Any:
        self.let_out()
        return StreamState._socket_view(self)
