# cython: auto_pickle=False
"""The operations that a program calls for each message on a socket of its own: compiled, because the driver's part of a message costs no
more than an interpreted method in front of it. The others are in sockets.py.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from cede.core.scheduler.task_kernel import TaskKernel
from cede.core.task.coroutine_methods import coroutine_methods
from cede.loop import socket_coroutines

if TYPE_CHECKING:
    from collections.abc import Awaitable

PLAIN = socket.socket


class SocketTransfer(TaskKernel):
    """Receiving and sending on sockets that no transport owns."""

    def sock_recv(self, sock: socket.socket, n: int) -> Awaitable[bytes]:
        """Await up to `n` bytes; b"" at the end of the stream."""
        if self._debug or type(sock) is not PLAIN:
            self._check_sock(sock)  # type: ignore[attr-defined]
        driver: Any = self.driver
        return driver.op_recv(sock, n)  # type: ignore[no-any-return]

    def sock_recv_into(self, sock: socket.socket, buf: Any) -> Awaitable[int]:
        """Await data in `buf`; the number of bytes."""
        if self._debug or type(sock) is not PLAIN:
            self._check_sock(sock)  # type: ignore[attr-defined]
        driver: Any = self.driver
        return driver.op_recv_into(sock, buf)  # type: ignore[no-any-return]

    def sock_sendall(self, sock: socket.socket, data: Any) -> Awaitable[None]:
        """Await that all of `data` is handed to the system."""
        if self._debug or type(sock) is not PLAIN:
            self._check_sock(sock)  # type: ignore[attr-defined]
        driver: Any = self.driver
        return driver.op_sendall(sock, data)  # type: ignore[no-any-return]


coroutine_methods(
    SocketTransfer,
    sock_recv=socket_coroutines.sock_recv,
    sock_recv_into=socket_coroutines.sock_recv_into,
    sock_sendall=socket_coroutines.sock_sendall,
)
