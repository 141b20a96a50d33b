"""Sending a file without reading it: `sendfile(2)`, for streams and socket operations alike."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from cede.drivers.portions import AT_ONCE


def can_send_files(sock: Any) -> bool:
    """Whether the system may send a file through this socket by itself: a class with a `send` of its own is taken at its word."""
    return hasattr(os, "sendfile") and isinstance(sock, socket.socket) and type(sock).send is socket.socket.send


def send_some(sock: int, file: int, offset: int, count: int) -> int:
    """Send at most `count` bytes of `file` from `offset`. Returns the number taken, 0 if there is no room, -1 at the end of the file."""
    try:
        return os.sendfile(sock, file, offset, min(count, AT_ONCE)) or -1
    except (BlockingIOError, InterruptedError):
        return 0
    except OSError as error:
        if error.errno == errno.ENOTCONN:  # some systems return this for a connection that has ended
            raise ConnectionError(errno.ENOTCONN, "socket is not connected") from error
        raise
