# cython: auto_pickle=False, nonecheck=True
"""What a datagram transport knows of itself, and what it can be asked. The names with an underscore are asyncio's."""

from __future__ import annotations

from asyncio import transports
from asyncio.trsock import TransportSocket
from collections import deque
from typing import Any

from cede.drivers.base import DatagramChannel
from cede.net.flow import FlowControl
from cede.net.origin import origin_of


class AsDatagramTransport(transports._FlowControlMixin, transports.DatagramTransport):  # type: ignore[misc]
    """What `DatagramTransport` says that it is: a compiled class cannot inherit from classes with slots in Python."""

    __slots__ = ()


class DatagramState(FlowControl):
    """The state of a datagram transport, and the questions about it."""

    channel: DatagramChannel
    extra: dict[str, Any] | None
    address: Any  # the only one that may be sent to, or None
    sockname: Any
    peername: Any
    connected: bool
    queue: deque[tuple[bytes, Any]]
    lost: int  # how often something was sent since connection_lost was scheduled, from 1; 0 before that
    closing: bool

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return AsDatagramTransport

    def is_reading(self) -> bool:
        """Whether datagrams are passed to the protocol as they arrive."""
        return not self.closing

    def is_closing(self) -> bool:
        """Whether the transport is closed, or about to be."""
        return bool(self.closing)

    def get_protocol(self) -> Any:
        """The protocol; None once the transport is closed."""
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        """From now on `protocol` is told."""
        self.protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``socket``, ``sockname`` and ``peername``, and what the maker of the transport added; `default` for anything else."""
        if name == "socket":
            return TransportSocket(self.channel.sock)
        if name == "sockname":
            if self.sockname is None:
                self.sockname = self._sockname()
            return self.sockname
        if name == "peername":
            return self.peername
        return default if self.extra is None else self.extra.get(name, default)

    def _sockname(self) -> Any:
        try:
            return self.channel.sock.getsockname()
        except OSError:
            return None

    def __repr__(self) -> str:
        channel = self.channel
        parts = [type(self).__name__]
        if channel is None or channel.closed:
            parts.append("closed")
        elif self.closing:
            parts.append("closing")
        if channel is not None:
            parts.append(f"fd={channel.fd}")
            if not channel.closed and not self.kernel.is_closed():
                parts.append(f"read={'idle' if self.closing else 'polling'}")
                parts.append(f"write=<{'polling' if self.queue else 'idle'}, bufsize={self.queued}>")
        parts += origin_of(self)
        return f"<{' '.join(parts)}>"

    # -- asyncio's names

    @property
    def _loop(self) -> Any:
        return None if self.channel is not None and self.channel.closed else self.kernel

    @property
    def _sock(self) -> Any:
        return None if self.channel is None or self.channel.closed else self.channel.sock

    @property
    def _sock_fd(self) -> int:
        return self.channel.fd

    @property
    def _address(self) -> Any:
        return self.address

    @property
    def _closing(self) -> bool:
        return bool(self.closing)

    @property
    def _conn_lost(self) -> int:
        return self.lost

    @property
    def _buffer(self) -> Any:
        return self.queue

    @property
    def _buffer_size(self) -> int:
        return self.queued

    @property
    def _extra(self) -> dict[str, Any]:
        return {
            **(self.extra or {}),
            "socket": self.get_extra_info("socket"),
            "sockname": self.get_extra_info("sockname"),
            "peername": self.peername,
        }
