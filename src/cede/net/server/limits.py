"""What a server asks of its peers: how many there may be, how soon each has to say something, and how slowly it may go on.

Invariants
----------
* A peer is never blamed for our own slowness: time in which the transport's reading is paused, in which the server wrote or what it had
  written was on its way, or in which its protocol does not wait for data, is not held against it; nor that it takes nothing where the
  system has nothing for it; nor a window in which the loop was held up.
* What it takes is what our system takes for it, or what our system has less for it than before, whichever is more: of Unix sockets the
  system tells more than the bytes, and of others nothing on some platforms.
* A connection is looked at by a timer of its own, once a period, never for each of its messages; the timer goes with the connection.
"""

from __future__ import annotations

import math
import sys
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cede.net.server.idle import WINDOW, waits_for_data

try:
    import fcntl
    from termios import TIOCOUTQ as _TIOCOUTQ
except ImportError:
    TIOCOUTQ = None
else:
    # Elsewhere it is for terminals alone.
    TIOCOUTQ = _TIOCOUTQ if sys.platform == "linux" else None

if TYPE_CHECKING:
    from cede.net.server.server import Server


@dataclass(frozen=True)
class Limits:
    """The limits of a server; None where there is none. Raises ValueError or TypeError for a limit that is not above 0."""

    max_connections: Any = None
    first_byte_timeout: Any = None
    min_read_rate: Any = None
    read_rate_window: float = WINDOW
    min_write_rate: Any = None
    write_rate_window: Any = None  # as read_rate_window

    def __post_init__(self) -> None:
        if self.max_connections is not None:
            if isinstance(self.max_connections, bool) or not isinstance(self.max_connections, int):
                raise TypeError(f"max_connections must be a whole number or None, got {self.max_connections!r}")
            if self.max_connections < 1:
                raise ValueError(f"max_connections must be at least 1, got {self.max_connections!r}")
        for name, unit in (
            ("first_byte_timeout", "seconds"),
            ("min_read_rate", "bytes per second"),
            ("read_rate_window", "seconds"),
            ("min_write_rate", "bytes per second"),
            ("write_rate_window", "seconds"),
        ):
            value = getattr(self, name)
            if value is None and name != "read_rate_window":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"{name} must be a number of {unit}, got {value!r}")
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 {unit}, and finite, got {value!r}")

    @property
    def meters(self) -> bool:
        """Whether what a peer sends and takes has to be counted."""
        return self.first_byte_timeout is not None or self.min_read_rate is not None or self.min_write_rate is not None

    @property
    def seconds_of_writing(self) -> float:
        """Over how many seconds the rate at which a peer takes what is sent to it is averaged."""
        return self.read_rate_window if self.write_rate_window is None else float(self.write_rate_window)


@dataclass(frozen=True)
class ServerStatistics:
    """What a server has seen so far.

    connections: how many are open; peak: the most that were open at once; accepted: how many came in at all.
    accept_paused: whether none is accepted now because `max_connections` are open; accept_pauses: how often that began.
    failed: how many came to nothing before their protocol could begin, the TLS handshake included.
    silent: how many were cut off because their first byte did not come in time; slow: because they sent too slowly; lagging: because they
    took too slowly what was sent to them.
    """

    connections: int
    peak: int
    accepted: int
    accept_paused: bool
    accept_pauses: int
    failed: int
    silent: int
    slow: int
    lagging: int = 0


class Pacer:
    """Holds one connection of `server` to the limits."""

    def __init__(self, server: Server, transport: Any, limits: Limits) -> None:
        self._server = server
        self._transport = weakref.ref(transport)  # an abandoned one may go before the timer does
        self._limits = limits
        self._seen = 0
        self._sent = (0, 0)
        self._taken = self._unsent = self._offered = 0
        self._due = self._write_due = 0.0
        self._timer: Any = None
        self._write_timer: Any = None
        if limits.first_byte_timeout is not None:
            self._timer = server._loop.call_later(limits.first_byte_timeout, self._first_byte_due)
        elif limits.min_read_rate is not None:
            self._next_window()
        if limits.min_write_rate is not None:
            self._next_write_window()

    def stop(self) -> None:
        """The connection is over."""
        for timer in (self._timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._write_timer = None

    def _next_window(self) -> None:
        self._timer = self._server._loop.call_later(self._limits.read_rate_window, self._window_over)
        self._due = self._timer.when()

    def _is_late(self, due: float, window: float) -> bool:
        """Whether the loop was held up: then it did not read and write in time, and the window says nothing of the peer."""
        return bool(self._server._loop.time() - due > window / 4)

    def _first_byte_due(self) -> None:
        self._timer = None
        transport = self._transport()
        if transport is None or transport.is_closing():
            return
        if transport.bytes_received == 0:
            self._server._cut_silent(transport, f"it sent nothing within {self._limits.first_byte_timeout:g} seconds")
        elif self._limits.min_read_rate is not None:
            self._seen = transport.bytes_received
            self._sent = self._under_way(transport)
            self._next_window()

    def _under_way(self, transport: Any) -> tuple[int, int]:
        """What differs from the time before where something that was written is on its way."""
        taken, _, unsent = transport.progress()
        return taken, unsent or 0

    def _window_over(self) -> None:
        self._timer = None
        transport = self._transport()
        if transport is None or transport.is_closing():
            return
        window = self._limits.read_rate_window
        rate = self._limits.min_read_rate
        assert rate is not None
        count = transport.bytes_received - self._seen
        self._seen = transport.bytes_received
        sent = self._under_way(transport)
        answered = transport.take_written() or sent != self._sent
        self._sent = sent
        protocol = transport.get_protocol()
        ours = answered or not transport.is_reading() or not waits_for_data(getattr(protocol, "_app_protocol", protocol))
        if getattr(transport, "_in_handshake", False):
            ours = answered  # the protocol does not know of the connection yet: there is the peer alone to wait for
        if count < rate * window and not ours and not self._is_late(self._due, window):
            self._server._cut_slow(transport, f"it sent {count} bytes in {window:g} seconds, less than {rate:g} a second")
        else:
            self._next_window()

    # -- what it takes

    def _next_write_window(self) -> None:
        self._write_timer = self._server._loop.call_later(self._limits.seconds_of_writing, self._write_window_over)
        self._write_due = self._write_timer.when()

    def _write_window_over(self) -> None:
        self._write_timer = None
        transport = self._transport()
        if transport is None:
            return  # but not where it closes: it does so when all is sent, which may be never
        window = self._limits.seconds_of_writing
        rate = self._limits.min_write_rate
        taken, queued, unsent = transport.progress()
        count = taken - self._taken
        count = max(count, count - ((unsent or 0) - self._unsent))
        # There was that much for it when the window began: it need not have taken more. Where the system has nothing left for it, and we
        # have, it is we who were slow.
        if count < min(rate * window, self._offered) and unsent != 0 and not self._is_late(self._write_due, window):
            self._server._cut_lagging(transport, f"it took {count} bytes in {window:g} seconds, less than {rate:g} a second")
            return
        self._taken = taken
        self._unsent = unsent or 0
        self._offered = queued + (unsent or 0)
        self._next_write_window()


def unsent_by_system(sock: Any) -> int | None:
    """Bytes that the system holds for the peer of `sock`; None where it does not tell."""
    if TIOCOUTQ is None:
        return None
    try:
        return int.from_bytes(fcntl.ioctl(sock.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder, signed=True)
    except (OSError, ValueError):
        return None
