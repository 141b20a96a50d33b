# cython: auto_pickle=False
"""What a datagram transport knows of itself, and what it can be asked. The names with an underscore are asyncio's."""

from __future__ import annotations

from asyncio import transports
from collections import deque
from typing import Any

from cede.drivers.contract import DatagramChannel, Owned
from cede.net.socket_state import SocketState


class AsDatagramTransport(transports._FlowControlMixin, transports.DatagramTransport):  # type: ignore[misc]
    """What `DatagramTransport` says that it is: a compiled class cannot inherit from classes with slots in Python."""

    __slots__ = ()


class DatagramState(SocketState):
    """The state of a datagram transport, and the questions about it."""

    channel: DatagramChannel
    address: Any  # the only one that may be sent to, or None
    connected: bool
    queue: deque[tuple[bytes, Any]]

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return AsDatagramTransport

    def channel_of(self) -> Owned | None:
        """The socket in the driver's hands."""
        return self.channel

    def is_receiving(self) -> bool:
        """Whether the driver was asked to receive."""
        return not self.closing

    def is_reading(self) -> bool:
        """Whether datagrams are passed to the protocol as they arrive."""
        return not self.closing

    # -- asyncio's names

    @property
    def _address(self) -> Any:
        return self.address
