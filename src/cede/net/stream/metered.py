# cython: auto_pickle=False
"""A stream transport that counts: for servers that hold their peers to a pace. Others do not pay for it.

Counted is what `write` accepted; what of it has left follows from what is still here, so that nothing has to be done where it leaves.
"""

from __future__ import annotations

from typing import Any

from cede.net.server.limits import unsent_by_system
from cede.net.stream.transport import StreamTransport

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython


class MeteredTransport(StreamTransport):
    """StreamTransport, with ``bytes_received`` so far, and whether something was ``written`` since `take_written` was called."""

    if not cython.compiled:
        bytes_received = 0
        written = False
        accepted = 0
        of_files = 0

    def received(self, data: bytes) -> int:
        self.bytes_received += len(data)
        return StreamTransport.received(self, data)

    def buffer_updated(self, count: int) -> int:
        self.bytes_received += count
        return StreamTransport.buffer_updated(self, count)

    def write(self, data: Any) -> None:
        """As StreamTransport's."""
        self.written = True
        StreamTransport.write(self, data)
        self.accepted += size_of(data)

    def writelines(self, list_of_data: Any) -> None:
        """As StreamTransport's."""
        self.written = True
        pieces = list(list_of_data)
        StreamTransport.writelines(self, pieces)
        for data in pieces:
            self.accepted += size_of(data)

    def take_written(self) -> bool:
        """Whether something was written since the last call."""
        written = bool(self.written)
        self.written = False
        return written

    def progress(self) -> tuple[int, int, int | None]:
        """Bytes that the system has taken so far, bytes that wait here, and bytes that wait in the system (None where it does not tell)."""
        here = self.queued
        if self.held is not None:
            here += self.held_size
        left = self.accepted + self.of_files - here
        if self.file_send is not None:
            left += self.file_send.sent
            here += 1  # how much of the file is still to come, nobody knows
        unsent = None if self.stream.closed else unsent_by_system(self.stream.sock)
        return left, here, unsent

    def _reset_empty_waiter(self) -> None:
        if self.file_send is not None:
            self.of_files += self.file_send.sent
        StreamTransport._reset_empty_waiter(self)


def size_of(data: Any) -> int:
    """The number of bytes in a bytes-like object."""
    return len(data) if type(data) is bytes else memoryview(data).nbytes
