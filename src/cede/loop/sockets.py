"""Sockets of the program's own: the ``sock_*`` operations, which the driver carries out.

They are plain functions, except where a name has to be looked up, and return the driver's operation, an awaitable without a frame: it
speaks the coroutine protocol, so `create_task`, `wait_for` and `gather` take it for one. Nothing happens before it is awaited.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from cede.core.task.coroutine_methods import coroutine_methods
from cede.loop import socket_coroutines
from cede.loop.mixin import LoopMixin
from cede.net.resolver.literals import is_numeric

if TYPE_CHECKING:
    from collections.abc import Awaitable

_PLAIN = socket.socket
_INTERNET = {socket.AF_INET, getattr(socket, "AF_INET6", socket.AF_INET)}

# The property of socket.socket makes an enumeration member of the number each time.
_NATIVE: Any = _PLAIN.__mro__[1]
_family_of = vars(_NATIVE)["family"].__get__


class SocketsMixin(LoopMixin):
    """Operations on sockets that no transport owns. In debug mode each raises ValueError for a blocking socket."""

    def _check_sock(self, sock: Any) -> None:
        if self.is_closed():
            self._check_closed()
        try:
            from ssl import SSLSocket
        except ImportError:
            pass
        else:
            if isinstance(sock, SSLSocket):
                raise TypeError("Socket cannot be of type SSLSocket")
        if self._debug and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")

    def sock_recvfrom(self, sock: socket.socket, bufsize: int) -> Awaitable[tuple[bytes, Any]]:  # type: ignore[override]
        """Await one datagram of up to `bufsize` bytes, and its sender's address."""
        if self._debug or type(sock) is not _PLAIN:
            self._check_sock(sock)
        return self.driver.op_recvfrom(sock, bufsize)  # type: ignore[no-any-return]

    def sock_recvfrom_into(self, sock: socket.socket, buf: Any, nbytes: int = 0) -> Awaitable[tuple[int, Any]]:  # type: ignore[override]
        """Await one datagram in the first `nbytes` bytes of `buf` (0: all of it); its length and its sender's address."""
        if self._debug or type(sock) is not _PLAIN:
            self._check_sock(sock)
        return self.driver.op_recvfrom_into(sock, buf, nbytes)  # type: ignore[no-any-return]

    def sock_sendto(self, sock: socket.socket, data: Any, address: Any) -> Awaitable[int]:  # type: ignore[override]
        """Await that one datagram is sent to `address`; its length."""
        if self._debug or type(sock) is not _PLAIN:
            self._check_sock(sock)
        return self.driver.op_sendto(sock, data, address)  # type: ignore[no-any-return]

    def sock_accept(self, sock: socket.socket) -> Awaitable[tuple[socket.socket, Any]]:  # type: ignore[override]
        """Await one connection on the listening `sock`: a non-blocking socket and the peer's address."""
        if self._debug or type(sock) is not _PLAIN:
            self._check_sock(sock)
        return self.driver.op_accept(sock)  # type: ignore[no-any-return]

    def sock_connect(self, sock: socket.socket, address: Any) -> Awaitable[None]:  # type: ignore[override]
        """Await that `sock` is connected to `address`; a host name in it is looked up first. Raises OSError where that fails."""
        return self._connecting(sock, address)

    def _connecting(self, sock: socket.socket, address: Any) -> Any:
        if self._debug or type(sock) is not _PLAIN:
            self._check_sock(sock)
        else:
            self._check_closed()
        family = _family_of(sock) if isinstance(sock, _NATIVE) else sock.family
        if family in _INTERNET and not is_numeric(address, family):
            return self._connect_by_name(sock, address)
        return self.driver.op_connect(sock, address)

    async def _connect_by_name(self, sock: socket.socket, address: Any) -> None:
        infos = await self._resolve(address, family=sock.family, type=sock.type, proto=sock.proto)
        if not infos:
            raise OSError(f"getaddrinfo() returned empty list for {address!r}")
        await self.driver.op_connect(sock, infos[0][4])


coroutine_methods(
    SocketsMixin,
    sock_recvfrom=socket_coroutines.sock_recvfrom,
    sock_recvfrom_into=socket_coroutines.sock_recvfrom_into,
    sock_sendto=socket_coroutines.sock_sendto,
    sock_accept=socket_coroutines.sock_accept,
    sock_connect=socket_coroutines.sock_connect,
)
