"""How much goes out at once, so that a peer that takes everything as fast as it comes does not keep the loop from the others."""

from __future__ import annotations

from typing import Any

# What one call sends of what goes out in a row: of a file it may have to wait for the disk, and everybody else waits with it.
AT_ONCE = 1 << 20

# Sent to one socket before the others have their turn.
IN_A_ROW = 4 << 20

# What one call for a stream sends: room that the peer makes meanwhile is used too, so that a call with more would not return for long.
MOST_AT_ONCE = 4 << 20

# At most this many buffers go into one system call; POSIX lets a system refuse more than 16, every one we know of takes 1,024.
BUFFERS_AT_ONCE = 1024


def first_of(buffers: list[Any]) -> list[Any]:
    """The first buffers of the list, as many as one call may take; the last of them may be cut."""
    if len(buffers) > BUFFERS_AT_ONCE:
        buffers = buffers[:BUFFERS_AT_ONCE]
    room = MOST_AT_ONCE
    for index, data in enumerate(buffers):
        room -= len(data)
        if room < 0:
            return [*buffers[:index], memoryview(data)[:room]]
    return buffers
