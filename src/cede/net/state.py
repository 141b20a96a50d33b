# cython: auto_pickle=False, nonecheck=True
"""What a stream transport knows of itself, and what it can be asked.

The names with an underscore are asyncio's: its TLS layer, and libraries, read them from any transport.
"""

from __future__ import annotations

from asyncio import transports
from asyncio.trsock import TransportSocket
from typing import Any

from cede.drivers.base import Stream
from cede.net.flow import FlowControl
from cede.net.origin import origin_of


class AsTransport(transports._FlowControlMixin, transports.Transport):  # type: ignore[misc]
    """What `StreamTransport` says that it is: a compiled class cannot inherit from classes with slots in Python."""

    __slots__ = ()


class StreamState(FlowControl):
    """The state of a stream transport, and the questions about it."""

    stream: Stream
    server: Any
    extra: dict[str, Any] | None
    sockname: Any
    peername: Any
    queue: list[Any] | None
    lost: int  # how often something was written since connection_lost was scheduled, from 1; 0 before that
    closing: bool
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

    def is_reading(self) -> bool:
        """Whether data is passed to the protocol as it arrives."""
        return not self.closing and not self.reading_paused

    def is_closing(self) -> bool:
        """Whether the transport is closed, or about to be."""
        return bool(self.closing)

    def can_write_eof(self) -> bool:
        """True."""
        return True

    def get_protocol(self) -> Any:
        """The protocol; None once the connection is gone."""
        return self.protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``socket``, ``sockname`` and ``peername``, and what the maker of the transport added; `default` for anything else."""
        if name == "socket":
            return self._socket_view()
        if name == "sockname":
            if self.sockname is None:
                self.sockname = self._sockname()
            return self.sockname
        if name == "peername":
            return self.peername
        return default if self.extra is None else self.extra.get(name, default)

    def _socket_view(self) -> TransportSocket:
        """Made when it is first asked for, and always the same: libraries compare."""
        if self.extra is None:
            self.extra = {}
        view: Any = self.extra.get("socket")
        if view is None:
            view = self.extra["socket"] = TransportSocket(self.stream.sock)
        return view  # type: ignore[no-any-return]

    def _sockname(self) -> Any:
        try:
            return self.stream.sock.getsockname()
        except OSError:
            return None

    def __repr__(self) -> str:
        stream = self.stream
        parts = [type(self).__name__]
        if stream is None or stream.closed:
            parts.append("closed")
        elif self.closing:
            parts.append("closing")
        if stream is not None:
            parts.append(f"fd={stream.fd}")
            if not stream.closed and not self.kernel.is_closed():
                reading = self.started and not (self.closing or self.reading_paused or self.eof_seen)
                parts.append(f"read={'polling' if reading else 'idle'}")
                parts.append(f"write=<{'polling' if self.queue else 'idle'}, bufsize={self.queued}>")
        parts += origin_of(self)
        return f"<{' '.join(parts)}>"

    # -- asyncio's names

    @property
    def _loop(self) -> Any:
        return None if self.stream is not None and self.stream.closed else self.kernel

    @property
    def _sock(self) -> Any:
        return None if self.stream is None or self.stream.closed else self.stream.sock

    @property
    def _sock_fd(self) -> int:
        return self.stream.fd

    @property
    def _server(self) -> Any:
        return self.server

    @property
    def _closing(self) -> bool:
        return bool(self.closing)

    @property
    def _conn_lost(self) -> int:
        return self.lost

    @property
    def _paused(self) -> bool:
        return bool(self.reading_paused)

    @property
    def _eof(self) -> bool:
        return bool(self.eof_wanted)

    @property
    def _buffer(self) -> list[Any]:
        return [] if self.queue is None else self.queue

    @property
    def _extra(self) -> dict[str, Any]:
        return {
            **(self.extra or {}),
            "socket": self.get_extra_info("socket"),
            "sockname": self.get_extra_info("sockname"),
            "peername": self.peername,
        }
