# cython: auto_pickle=False
"""Flow control: when a protocol is asked to stop writing, and when it may go on.

Invariants
----------
* `queued` is the number of bytes that were accepted and not yet taken by the system: kept, never counted anew.
* `pause_writing` is called when `queued` rises above `high`, `resume_writing` when it has fallen to `low`; always in turns.
* `pause_writing` runs inside the caller's `write`, and in the caller's context: the transport's own may be entered already, by
  the very callback that writes. `resume_writing` comes from the driver, and runs in the transport's context.
"""

from __future__ import annotations

from cede.net.base_transport import BaseTransport

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import call_in

HIGH_WATER = 64 * 1024


class FlowControl(BaseTransport):
    """The writing half of a transport, as far as the protocol is told of it."""

    queued: int
    high: int
    low: int
    protocol_paused: bool

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the watermarks, in bytes: 64 KiB by default, and a quarter of `high` for `low`.

        Raises ValueError unless ``high >= low >= 0``.
        """
        self.set_limits(high, low)
        if self.protocol is not None:
            self.pause_if_full()

    def set_limits(self, high: int | None, low: int | None) -> int:
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self.high = high
        self.low = low
        return 0

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The watermarks in bytes: (low, high)."""
        return (self.low, self.high)

    def get_write_buffer_size(self) -> int:
        """Bytes that were accepted by `write` and that the system has not taken yet."""
        return self.queued

    def let_out(self) -> int:
        """Somebody drains: what is held until the end of the step is sent before that goes on, whatever the program does next."""
        return 0

    def pause_if_full(self) -> int:
        if self.queued > self.high and not self.protocol_paused:
            self.protocol_paused = True
            try:
                self.protocol.pause_writing()
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                self.report("protocol.pause_writing() failed", error)
        return 0

    def resume_if_drained(self) -> int:
        if self.protocol_paused and self.queued <= self.low:
            self.protocol_paused = False
            try:
                call_in(self.context, self.protocol.resume_writing, ())
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                self.report("protocol.resume_writing() failed", error)
        return 0

    # -- what libraries, and asyncio's own TLS and sendfile, read

    @property
    def _protocol_paused(self) -> bool:
        return bool(self.protocol_paused)

    @property
    def _high_water(self) -> int:
        return self.high

    @property
    def _low_water(self) -> int:
        return self.low
