"""Connections: `create_connection`, `create_unix_connection`, `connect_accepted_socket`.

Ownership: a socket given as ``sock=`` is the user's until the transport exists, and the transport's from then on.
Whatever fails or is cancelled before that leaves it open; whatever fails after closes it through the transport.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from cede.loop.mixin import LoopMixin
from cede.net import happy_eyeballs
from cede.net.resolver import resolver
from cede.net.tls import options as tls_options

logger = logging.getLogger("asyncio")

Factory = Callable[[], Any]


class ConnectingMixin(LoopMixin):
    """Outgoing connections, and accepted sockets that come from elsewhere."""

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Factory,
        host: Any = None,
        port: Any = None,
        *,
        ssl: Any = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
        local_addr: tuple[Any, ...] | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> tuple[Any, Any]:
        """Connect to ``host:port``, or take the connected `sock`; return ``(transport, protocol)``.

        `happy_eyeballs_delay` (seconds) tries the addresses side by side; None tries one after the other. `interleave`
        is how many of the first family are tried before the families take turns. Timeouts are in seconds.
        Raises OSError where no address can be connected to (an ExceptionGroup with `all_errors`), ValueError for
        arguments that exclude each other, TypeError for an SSLSocket.
        """
        self._check_closed()
        if server_hostname is not None and not ssl:
            raise ValueError("server_hostname is only meaningful with ssl")
        if server_hostname is None and ssl:
            if not host:
                raise ValueError("You must set server_hostname when using ssl without a host")
            server_hostname = host
        if ssl_handshake_timeout is not None or ssl_shutdown_timeout is not None:
            tls_options.refuse_without_tls(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        if sock is not None:
            happy_eyeballs.refuse_tls_socket(sock)
        made_here = sock is None
        if host is not None or port is not None:
            if sock is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            # The everyday case has one address and asks nobody: it takes no coroutine more than it must.
            info = resolver.literal_info(host, port, family, socket.SOCK_STREAM, proto)
            infos = [info] if info is not None else await self._resolve_or_fail((host, port), family, proto, flags)
            local_infos = None
            if local_addr is not None:
                local_infos = await self._resolve_or_fail(local_addr, family, proto, flags)
            if interleave is None and happy_eyeballs_delay is not None:
                interleave = 1
            if interleave:
                infos = resolver.interleave(infos, interleave)
            if len(infos) == 1 and not all_errors:
                outcome = await happy_eyeballs.connect_one(self, infos[0], local_infos)
                if isinstance(outcome, OSError):
                    try:
                        raise outcome
                    finally:
                        del outcome  # its traceback will hold this frame
                sock = outcome
            else:
                sock = await happy_eyeballs.connect(self, infos, local_infos, happy_eyeballs_delay, all_errors)
        elif sock is None:
            raise ValueError("host and port was not specified and no sock specified")
        elif sock.type != socket.SOCK_STREAM:
            raise ValueError(f"A Stream Socket was expected, got {sock!r}")
        options: dict[str, Any] = {}
        if ssl:
            options = {
                "ssl": ssl,
                "server_hostname": server_hostname,
                "ssl_handshake_timeout": ssl_handshake_timeout,
                "ssl_shutdown_timeout": ssl_shutdown_timeout,
            }
        transport, protocol = await self._open_transport(sock, protocol_factory, made_here, **options)
        if self._debug:
            logger.debug("%r connected to %s:%r: (%r, %r)", transport.get_extra_info("socket"), host, port, transport, protocol)
        return transport, protocol

    async def _resolve_or_fail(self, address: Any, family: int, proto: int, flags: int) -> list[Any]:
        infos = await self._resolve(address, family=family, type=socket.SOCK_STREAM, proto=proto, flags=flags)
        if not infos:
            raise OSError(f"getaddrinfo() returned empty list for {address!r}")
        return infos

    async def create_unix_connection(  # type: ignore[override]
        self,
        protocol_factory: Factory,
        path: Any = None,
        *,
        ssl: Any = None,
        sock: socket.socket | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[Any, Any]:
        """Connect to the Unix stream socket at `path`, or take the connected `sock`; return ``(transport, protocol)``.

        Raises OSError where the connection fails, ValueError for arguments that exclude each other.
        """
        self._check_closed()
        if server_hostname is not None and not isinstance(server_hostname, str):
            raise TypeError(f"server_hostname must be a str or None, got {server_hostname!r}")
        if ssl and server_hostname is None:
            raise ValueError("you have to pass server_hostname when using ssl")
        if not ssl and server_hostname is not None:
            raise ValueError("server_hostname is only meaningful with ssl")
        tls_options.refuse_without_tls(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        made_here = False
        if path is not None:
            if sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            path = os.fspath(path)
            made_here = True
            made: Any = self.driver.make_socket(socket.AF_UNIX, socket.SOCK_STREAM, 0)
            try:
                await self.sock_connect(made, path)
            except BaseException:
                made.close()
                raise
            sock = made
        elif sock is None:
            raise ValueError("no path and sock were specified")
        elif sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
            raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")
        return await self._open_transport(
            sock,
            protocol_factory,
            made_here,
            ssl=ssl,
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )

    async def connect_accepted_socket(  # type: ignore[override]
        self,
        protocol_factory: Factory,
        sock: socket.socket,
        *,
        ssl: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[Any, Any]:
        """Serve `sock`, which was accepted elsewhere; return ``(transport, protocol)``.

        Raises ValueError if it is no stream socket.
        """
        self._check_closed()
        if sock.type != socket.SOCK_STREAM:
            raise ValueError(f"A Stream Socket was expected, got {sock!r}")
        tls_options.refuse_without_tls(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        happy_eyeballs.refuse_tls_socket(sock)
        transport, protocol = await self._open_transport(
            sock,
            protocol_factory,
            False,
            ssl=ssl,
            server_side=True,
            server_hostname="",
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        if self._debug:
            logger.debug("%r handled: (%r, %r)", transport.get_extra_info("socket"), transport, protocol)
        return transport, protocol

    async def _open_transport(self, sock: socket.socket, protocol_factory: Factory, made_here: bool, **options: Any) -> tuple[Any, Any]:
        """Put a transport over the connected `sock`, and wait until the protocol knows of it (with TLS: of the
        handshake's end).
        """
        try:
            if not made_here or sock.gettimeout() != 0.0:
                sock.setblocking(False)
            protocol = protocol_factory()
        except BaseException:
            sock.close()  # given or not: it was handed to a transport that never came to be
            raise
        waiter = self.new_waiter(sock)
        try:
            transport = self._start_stream(sock, protocol, waiter, **options)
        except BaseException:
            if made_here:
                sock.close()  # one that was given may belong to another transport, which is why we are here
            raise
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        finally:
            del waiter  # a TLS error in it holds this frame
        return transport, protocol
