# cython: auto_pickle=False
"""What a transport over a socket knows of it, and what it can be asked: streams and datagrams alike.

The names with an underscore are asyncio's: its TLS layer, and libraries, read them from any transport.
"""

from __future__ import annotations

from asyncio.trsock import TransportSocket
from typing import Any

from cede.drivers.contract import Address
from cede.net.creation_site import origin_of
from cede.net.flow_control import FlowControl


class SocketState(FlowControl):
    """The socket's own information. It is asked for late: most connections live and die without."""

    sockname: Any
    peername: Any

    def is_receiving(self) -> bool:
        """Whether the driver was asked to receive."""
        raise NotImplementedError

    def is_sending(self) -> bool:
        """Whether something waits to be sent."""
        return self.queued > 0

    def finish_closing(self) -> int:
        """Give the descriptor back; the address of this end can still be asked for."""
        if self.sockname is None:
            self.sockname = self._sockname()
        return FlowControl.finish_closing(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``socket``, ``sockname`` and ``peername``, and what the maker of the transport added; `default` for anything else."""
        if name == "socket":
            return self._socket_view()
        if name == "sockname":
            if self.sockname is None:
                self.sockname = self._sockname()
            return self.sockname
        if name == "peername":
            return self._peername()
        return default if self.extra is None else self.extra.get(name, default)

    def _socket_view(self) -> TransportSocket:
        """Made when it is first asked for, and always the same: libraries compare."""
        if self.extra is None:
            self.extra = {}
        view: Any = self.extra.get("socket")
        if view is None:
            view = self.extra["socket"] = TransportSocket(self.channel_of().sock)
        return view  # type: ignore[no-any-return]

    def _sockname(self) -> Any:
        try:
            return self.channel_of().own_address()
        except OSError:
            return None

    def _peername(self) -> Any:
        address = self.peername
        if isinstance(address, Address):
            address = self.peername = address.unpacked()
        return address

    def __repr__(self) -> str:
        channel = self.channel_of()
        parts = [type(self).__name__]
        if channel is None or channel.closed:
            parts.append("closed")
        elif self.closing:
            parts.append("closing")
        if channel is not None:
            parts.append(f"fd={channel.fd}")
            if not channel.closed and not self.kernel.is_closed():
                parts.append(f"read={'polling' if self.is_receiving() else 'idle'}")
                parts.append(f"write=<{'polling' if self.is_sending() else 'idle'}, bufsize={self.queued}>")
        parts += origin_of(self)
        return f"<{' '.join(parts)}>"

    # -- asyncio's names

    @property
    def _sock(self) -> Any:
        channel = self.channel_of()
        return None if channel is None or channel.closed else channel.sock

    @property
    def _sock_fd(self) -> int:
        return self.channel_of().fd

    @property
    def _extra(self) -> dict[str, Any]:
        return {
            **(self.extra or {}),
            "socket": self.get_extra_info("socket"),
            "sockname": self.get_extra_info("sockname"),
            "peername": self._peername(),
        }
