"""What a server asks of its peers: how many there may be, how soon each has to say something, and how slowly it may go on.

Invariants
----------
* A peer is never blamed for our own slowness: time in which the transport's reading is paused, in which the server wrote, or in which its
  protocol does not wait for data, is not held against it.
* A connection is looked at by a timer of its own, once a period, never for each of its messages; the timer goes with the connection.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cede.net.waiting import waits_for_data

if TYPE_CHECKING:
    from cede.net.server import Server

# Seconds over which a peer's pace is averaged.
WINDOW = 5.0


@dataclass(frozen=True)
class Limits:
    """The limits of a server; None where there is none. Raises ValueError or TypeError for a limit that is not above 0."""

    max_connections: Any = None
    first_byte_timeout: Any = None
    min_read_rate: Any = None
    read_rate_window: float = WINDOW

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
        """Whether what a peer sends has to be counted."""
        return self.first_byte_timeout is not None or self.min_read_rate is not None


@dataclass(frozen=True)
class ServerStatistics:
    """What a server has seen so far.

    connections: how many are open; peak: the most that were open at once; accepted: how many came in at all.
    accept_paused: whether none is accepted now because `max_connections` are open; accept_pauses: how often that began.
    failed: how many came to nothing before their protocol could begin, the TLS handshake included.
    silent: how many were cut off because their first byte did not come in time; slow: because they sent too slowly.
    """

    connections: int
    peak: int
    accepted: int
    accept_paused: bool
    accept_pauses: int
    failed: int
    silent: int
    slow: int


class Pacer:
    """Holds one connection of `server` to the limits."""

    def __init__(self, server: Server, transport: Any, limits: Limits) -> None:
        self._server = server
        self._transport = weakref.ref(transport)  # an abandoned one may go before the timer does
        self._limits = limits
        self._seen = 0
        self._timer: Any = None
        if limits.first_byte_timeout is not None:
            self._timer = server._loop.call_later(limits.first_byte_timeout, self._first_byte_due)
        else:
            self._next_window()

    def stop(self) -> None:
        """The connection is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next_window(self) -> None:
        self._timer = self._server._loop.call_later(self._limits.read_rate_window, self._window_over)

    def _first_byte_due(self) -> None:
        self._timer = None
        transport = self._transport()
        if transport is None or transport.is_closing():
            return
        if transport.bytes_received == 0:
            self._server._cut_silent(transport, f"it sent nothing within {self._limits.first_byte_timeout:g} seconds")
        elif self._limits.min_read_rate is not None:
            self._seen = transport.bytes_received
            self._next_window()

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
        answered = transport.take_written()
        protocol = transport.get_protocol()
        ours = answered or not transport.is_reading() or not waits_for_data(getattr(protocol, "_app_protocol", protocol))
        if getattr(transport, "_in_handshake", False):
            ours = answered  # the protocol does not know of the connection yet: there is the peer alone to wait for
        if count < rate * window and not ours:
            self._server._cut_slow(transport, f"it sent {count} bytes in {window:g} seconds, less than {rate:g} a second")
        else:
            self._next_window()
