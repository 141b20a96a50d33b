# cython: auto_pickle=False
"""What a stream transport knows of itself, and what it can be asked. The names with an underscore are asyncio's."""

from __future__ import annotations

from asyncio import transports
from typing import Any

from cede.drivers.contract import Owned, Stream
from cede.net.socket_state import SocketState


class AsTransport(transports._FlowControlMixin, transports.Transport):  # type: ignore[misc]
    """What `StreamTransport` says that it is: a compiled class cannot inherit from classes with slots in Python."""

    __slots__ = ()


class StreamState(SocketState):
    """The state of a stream transport, and the questions about it."""

    stream: Stream
    server: Any
    queue: list[Any] | None
    reading_paused: bool
    started: bool
    eof_seen: bool
    eof_wanted: bool
    refusing: bool
    empty_waiter: Any
    file_send: Any

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return AsTransport

    def channel_of(self) -> Owned | None:
        """The stream."""
        return self.stream

    def is_receiving(self) -> bool:
        """Whether the driver was asked to receive."""
        return bool(self.started and not (self.closing or self.reading_paused or self.eof_seen))

    def is_reading(self) -> bool:
        """Whether data is passed to the protocol as it arrives."""
        return not self.closing and not self.reading_paused

    def can_write_eof(self) -> bool:
        """True."""
        return True

    # -- asyncio's names

    @property
    def _server(self) -> Any:
        return self.server

    @property
    def _paused(self) -> bool:
        return bool(self.reading_paused)

    @property
    def _eof(self) -> bool:
        return bool(self.eof_wanted)

    @property
    def _buffer(self) -> list[Any]:
        return [] if self.queue is None else list(self.queue)
