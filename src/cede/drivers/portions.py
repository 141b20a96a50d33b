"""Limits of what is sent at once, so that a peer that takes everything as fast as it comes does not block the other tasks."""

from __future__ import annotations

from typing import Any

# The most that one call sends of a file or a `SendAll`. Sending a file may wait for the disk, and the whole loop with it.
AT_ONCE = 1 << 20

# The most that is sent to one socket before it gives way.
IN_A_ROW = 4 << 20

# The most that one call sends for a stream. The system also uses the room that the peer makes meanwhile, so a larger call could take long.
MOST_AT_ONCE = 4 << 20

# The most buffers for one system call. POSIX guarantees 16; every system that we know of takes 1,024.
BUFFERS_AT_ONCE = 1024


def first_of(buffers: list[Any]) -> list[Any]:
    """The first buffers of the list, as many as one call may take. The last one may be cut."""
    if len(buffers) > BUFFERS_AT_ONCE:
        buffers = buffers[:BUFFERS_AT_ONCE]
    room = MOST_AT_ONCE
    for index, data in enumerate(buffers):
        room -= len(data)
        if room < 0:
            return [*buffers[:index], memoryview(data)[:room]]
    return buffers
