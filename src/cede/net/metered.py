# cython: auto_pickle=False, nonecheck=True
"""A stream transport that counts: for servers that hold their peers to a pace. Others do not pay for it."""

from __future__ import annotations

from typing import Any

from cede.net.stream import StreamTransport

try:
    import cython
except ModuleNotFoundError:
    from cede.core import nocython as cython


class MeteredTransport(StreamTransport):
    """StreamTransport, with ``bytes_received`` so far, and whether something was ``written`` since `take_written` was called."""

    if not cython.compiled:
        bytes_received = 0
        written = False

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

    def writelines(self, list_of_data: Any) -> None:
        """As StreamTransport's."""
        self.written = True
        StreamTransport.writelines(self, list_of_data)

    def take_written(self) -> bool:
        """Whether something was written since the last call."""
        written = bool(self.written)
        self.written = False
        return written
