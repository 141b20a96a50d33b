# cython: auto_pickle=False
"""Pieces of data that wait to be sent: what may be queued, and what becomes of it as the system takes bytes.

Bytes objects are kept as they are; what the caller could still change is copied. A queue is a list of bytes objects and of views of
bytes objects, none of them empty. Its transport replaces it where it drops what waits, and never empties it: whoever sends from it may have
given up the GIL, and goes on with the list that it took.
"""

from __future__ import annotations

from typing import Any


def checked(data: Any, name: str) -> Any:
    """`data`, as something that can be sent as it is: bytes, or a buffer whose length is its number of bytes."""
    if isinstance(data, (bytes, bytearray)):
        return data
    if not isinstance(data, memoryview):
        raise TypeError(f"{name} must be a bytes-like object, not {type(data).__name__!r}")
    if not data.c_contiguous:
        return data.tobytes()
    if data.ndim != 1 or data.itemsize != 1 or data.format != "B":
        return data.cast("B") if data.nbytes else b""
    return data


def gather(list_of_data: Any, pieces: list[Any]) -> int:
    """Put what is to be sent into `pieces`, but nothing empty; its number of bytes."""
    total = 0
    if type(list_of_data) is list:
        # The usual case, in which nothing has to be looked at twice.
        pieces.extend(list_of_data)
        for piece in pieces:
            if type(piece) is not bytes:
                break
            size = len(piece)
            if not size:
                break
            total += size
        else:
            return total
        pieces.clear()
        total = 0
    for piece in list_of_data:
        if type(piece) is not bytes:
            piece = checked(piece, "items of list_of_data")
        size = len(piece)
        if size:
            pieces.append(piece)
            total += size
    return total


def keep(queue: list[Any], data: Any, taken: int) -> int:
    """Queue ``data[taken:]``; its number of bytes."""
    if type(data) is bytes:
        kept: Any = memoryview(data)[taken:] if taken else data
    else:
        kept = bytes(memoryview(data)[taken:])
    queue.append(kept)
    return len(kept)


def keep_rest(queue: list[Any], pieces: list[Any], taken: int) -> int:
    """The system has taken that many bytes of `pieces`: queue the rest; its number of bytes."""
    kept = 0
    for piece in pieces:
        size = len(piece)
        if taken >= size:
            taken -= size
        else:
            kept += keep(queue, piece, taken)
            taken = 0
    return kept


def drop(queue: list[Any], taken: int) -> int:
    """The system has taken that many bytes, no more than there are, from the head of the queue."""
    count = 0
    for data in queue:
        size = len(data)
        if taken < size:
            break
        taken -= size
        count += 1
    del queue[:count]
    if taken and queue:
        queue[0] = memoryview(queue[0])[taken:]
    return 0
