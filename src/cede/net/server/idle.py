"""Whether a protocol waits for its peer: then closing its connection interrupts nothing, and a silent peer is to blame."""

from __future__ import annotations

from typing import Any

# Seconds over which a peer's pace is averaged, if the server does not say otherwise.
WINDOW = 5.0


def waits_for_data(protocol: Any) -> bool:
    """Whether nothing happens on this connection until the peer sends something.

    A protocol may tell by a method ``waits_for_data()``. A stream's does while somebody is inside a read. Of any other it is
    assumed: what it did with the data of its peer it did when that arrived.
    """
    ask = getattr(protocol, "waits_for_data", None)
    if ask is not None:
        return bool(ask())
    reader = getattr(protocol, "_stream_reader", None)
    if reader is None:
        return True
    return getattr(reader, "_waiter", None) is not None
