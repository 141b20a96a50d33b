"""The ``sock_*`` coroutine methods of the loop: what they are called with, and, uncompiled, what they do."""

from __future__ import annotations

import socket
from typing import Any

PLAIN = socket.socket


async def sock_recv(self: Any, sock: socket.socket, n: int) -> bytes:
    """``loop.sock_recv()``."""
    if self._debug or type(sock) is not PLAIN:
        self._check_sock(sock)
    return await self.driver.op_recv(sock, n)  # type: ignore[no-any-return]


async def sock_recv_into(self: Any, sock: socket.socket, buf: Any) -> int:
    """``loop.sock_recv_into()``."""
    if self._debug or type(sock) is not PLAIN:
        self._check_sock(sock)
    return await self.driver.op_recv_into(sock, buf)  # type: ignore[no-any-return]


async def sock_sendall(self: Any, sock: socket.socket, data: Any) -> None:
    """``loop.sock_sendall()``."""
    if self._debug or type(sock) is not PLAIN:
        self._check_sock(sock)
    await self.driver.op_sendall(sock, data)


async def sock_recvfrom(self: Any, sock: socket.socket, bufsize: int) -> tuple[bytes, Any]:
    """``loop.sock_recvfrom()``."""
    if self._debug or type(sock) is not PLAIN:
        self._check_sock(sock)
    return await self.driver.op_recvfrom(sock, bufsize)  # type: ignore[no-any-return]


async def sock_recvfrom_into(self: Any, sock: socket.socket, buf: Any, nbytes: int = 0) -> tuple[int, Any]:
    """``loop.sock_recvfrom_into()``."""
    if self._debug or type(sock) is not PLAIN:
        self._check_sock(sock)
    return await self.driver.op_recvfrom_into(sock, buf, nbytes)  # type: ignore[no-any-return]


async def sock_sendto(self: Any, sock: socket.socket, data: Any, address: Any) -> int:
    """``loop.sock_sendto()``."""
    if self._debug or type(sock) is not PLAIN:
        self._check_sock(sock)
    return await self.driver.op_sendto(sock, data, address)  # type: ignore[no-any-return]


async def sock_accept(self: Any, sock: socket.socket) -> tuple[socket.socket, Any]:
    """``loop.sock_accept()``."""
    if self._debug or type(sock) is not PLAIN:
        self._check_sock(sock)
    return await self.driver.op_accept(sock)  # type: ignore[no-any-return]


async def sock_connect(self: Any, sock: socket.socket, address: Any) -> None:
    """``loop.sock_connect()``."""
    await self._connecting(sock, address)
