"""Servers: `create_server` and `create_unix_server`."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cede.loop.mixin import LoopMixin
from cede.loop.streaming import need_tls
from cede.net import happy_eyeballs
from cede.net.server.idle import WINDOW
from cede.net.tls import options as tls_options

if TYPE_CHECKING:
    from cede.net.server.limits import Limits
    from cede.net.server.server import Server

logger = logging.getLogger("asyncio")

# asyncio removes a Unix server's path on close since Python 3.13.
CLEANS_UP_BY_DEFAULT = sys.version_info >= (3, 13)


def set_reuse_port(sock: socket.socket) -> None:
    """Raises ValueError where the system has no SO_REUSEPORT, or has the name but not the thing."""
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ValueError("reuse_port not supported by socket module")
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        raise ValueError("reuse_port not supported by socket module, SO_REUSEPORT defined but not implemented.") from error


def _is_abstract(path: Any) -> bool:
    """Whether a Unix address lives in the kernel's abstract name space (or has no name at all)."""
    return not path or path[0] in (0, "\0")


def remove_stale_socket(path: Any) -> None:
    """Remove the socket file that an earlier server left at `path`; anything else there is left alone, for bind to
    refuse.
    """
    if _is_abstract(path):
        return
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.remove(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        # The folder may allow no more than making a socket; bind has the last word.
        logger.error("Unable to check or remove stale UNIX socket %r: %r", path, error)


class ServingMixin(LoopMixin):
    """Listening sockets."""

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], Any],
        host: Any = None,
        port: Any = None,
        *,
        family: int = socket.AF_UNSPEC,
        flags: int = socket.AI_PASSIVE,
        sock: socket.socket | None = None,
        backlog: int = 100,
        ssl: Any = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        max_connections: int | None = None,
        first_byte_timeout: float | None = None,
        min_read_rate: float | None = None,
        read_rate_window: float = WINDOW,
        min_write_rate: float | None = None,
        write_rate_window: float | None = None,
    ) -> Server:
        """Listen on `host` (a name, a sequence of names, or None or "" for all interfaces) and `port`, or on the given
        `sock`.

        Every address gets a socket of its own; IPv6 ones do not take IPv4 connections too. `reuse_address` is on by
        default. Timeouts are in seconds.

        Limits, which asyncio does not have: with `max_connections` open ones, no more are accepted until one is gone. A peer that has sent
        nothing after `first_byte_timeout` seconds is cut off. So is, from its first byte on, one that sends fewer than `min_read_rate`
        bytes a second, averaged over `read_rate_window` seconds in which the server waited for it: reading was not paused, nothing was
        written or still on its way, and a stream's handler was inside a read. A connection that idles between two requests is cut off too,
        then. And so is one that takes fewer than `min_write_rate` bytes a second of what is there for it, averaged over `write_rate_window`
        seconds (`read_rate_window`, where that is None), also while the connection is being closed. Its protocol's ``connection_lost``, or
        the stream's reader, gets a ConnectionAbortedError. ``Server.statistics()`` counts it all.

        Raises OSError where an address cannot be bound, ValueError or TypeError for
        arguments that make no sense together.
        """
        self._check_closed()
        from cede.net.server.limits import Limits

        limits = Limits(max_connections, first_byte_timeout, min_read_rate, read_rate_window, min_write_rate, write_rate_window)
        _check_tls_arguments(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        given = sock is not None
        if given:
            happy_eyeballs.refuse_tls_socket(sock)
        if host is not None or port is not None:
            if given:
                raise ValueError("host/port and sock can not be specified at the same time")
            if reuse_address is None:
                reuse_address = os.name == "posix" and sys.platform != "cygwin"
            infos = await self._resolve_hosts(host, port, family, flags)
            sockets = self._bind_all(infos, reuse_address, reuse_port, keep_alive)
        else:
            if sock is None:
                raise ValueError("Neither host/port nor sock were specified")
            if sock.type != socket.SOCK_STREAM:
                raise ValueError(f"A Stream Socket was expected, got {sock!r}")
            sockets = [sock]
        return await self._serve(
            sockets, protocol_factory, backlog, ssl, ssl_handshake_timeout, ssl_shutdown_timeout, start_serving, None, limits, given
        )

    async def _resolve_hosts(self, host: Any, port: Any, family: int, flags: int) -> list[Any]:
        if host == "":
            hosts: list[Any] = [None]
        elif isinstance(host, (str, bytes)) or not isinstance(host, Iterable):
            hosts = [host]
        else:
            hosts = list(host)
        answers = await asyncio.gather(
            *[self._resolve((name, port), family=family, type=socket.SOCK_STREAM, flags=flags) for name in hosts]
        )
        for name, answer in zip(hosts, answers, strict=True):
            if not answer:
                raise OSError(f"getaddrinfo({name!r}) returned empty list")
        # One socket an address, in the order of the answers: several names may stand for the same one.
        return list(dict.fromkeys(info for answer in answers for info in answer))

    def _bind_all(
        self, infos: list[Any], reuse_address: bool | None, reuse_port: bool | None, keep_alive: bool | None
    ) -> list[socket.socket]:
        sockets: list[socket.socket] = []
        try:
            for info in infos:
                sock = self._bind_one(info, reuse_address, reuse_port, keep_alive)
                if sock is not None:
                    sockets.append(sock)
            if not sockets:
                raise OSError(f"could not bind on any address out of {[info[4] for info in infos]!r}")
        except BaseException:
            for sock in sockets:
                sock.close()
            raise
        return sockets

    def _bind_one(self, info: Any, reuse_address: bool | None, reuse_port: bool | None, keep_alive: bool | None) -> socket.socket | None:
        """A bound socket; None where this machine does not have the address or its family."""
        family, kind, proto, _, address = info
        try:
            sock: socket.socket = self.driver.make_socket(family, kind, proto)
        except OSError:
            if self._debug:
                logger.warning("create_server() failed to create socket.socket(%r, %r, %r)", family, kind, proto, exc_info=True)
            return None
        try:
            if reuse_address:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
            if reuse_port:
                set_reuse_port(sock)
            if keep_alive:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, True)
            if family == getattr(socket, "AF_INET6", None) and hasattr(socket, "IPPROTO_IPV6"):
                # Linux would have the IPv6 socket take IPv4 connections too, and the IPv4 one could then not be bound.
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, True)
            sock.bind(address)
        except OSError as error:
            sock.close()
            message = f"error while attempting to bind on address {address!r}: {str(error).lower()}"
            if error.errno == errno.EADDRNOTAVAIL:
                if self._debug:
                    logger.warning(message)
                return None
            raise OSError(error.errno, message) from None
        except BaseException:
            sock.close()
            raise
        return sock

    async def create_unix_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], Any],
        path: Any = None,
        *,
        sock: socket.socket | None = None,
        backlog: int = 100,
        ssl: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        cleanup_socket: bool = CLEANS_UP_BY_DEFAULT,
        max_connections: int | None = None,
        first_byte_timeout: float | None = None,
        min_read_rate: float | None = None,
        read_rate_window: float = WINDOW,
        min_write_rate: float | None = None,
        write_rate_window: float | None = None,
    ) -> Server:
        """Listen on the Unix socket `path`, or on the given bound `sock`. A stale socket file at `path` is replaced.

        `cleanup_socket` removes the path when the server closes, if it is still ours. Limits as for `create_server`.
        Raises OSError where the path cannot be bound, ValueError or TypeError for arguments that make no sense
        together.
        """
        self._check_closed()
        from cede.net.server.limits import Limits

        limits = Limits(max_connections, first_byte_timeout, min_read_rate, read_rate_window, min_write_rate, write_rate_window)
        _check_tls_arguments(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        given = sock is not None
        if path is not None:
            if sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            sock = _bind_unix(self.driver, os.fspath(path))
        elif sock is None:
            raise ValueError("path was not specified, and no sock specified")
        elif sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
            raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")
        unlink = None
        if cleanup_socket:
            bound = sock.getsockname()
            if not _is_abstract(bound):
                try:
                    unlink = (bound, os.stat(bound).st_ino)
                except FileNotFoundError:
                    pass  # gone already: nothing to clean up
        return await self._serve(
            [sock], protocol_factory, backlog, ssl, ssl_handshake_timeout, ssl_shutdown_timeout, start_serving, unlink, limits, given
        )

    async def _serve(
        self,
        sockets: list[socket.socket],
        protocol_factory: Callable[[], Any],
        backlog: int,
        ssl: Any,
        handshake_timeout: float | None,
        shutdown_timeout: float | None,
        start_serving: bool,
        unlink: tuple[Any, int] | None,
        limits: Limits,
        given: bool,
    ) -> Server:
        for sock in sockets:
            sock.setblocking(False)
        from cede.net.server.server import Server

        server = Server(
            self,
            sockets,
            protocol_factory,
            ssl=ssl,
            backlog=backlog,
            ssl_handshake_timeout=handshake_timeout,
            ssl_shutdown_timeout=shutdown_timeout,
            unlink=unlink,
            limits=limits,
            given=given,
        )
        if start_serving:
            try:
                await server.start_serving()
            except BaseException:
                server.close()  # nobody else has it yet
                raise
        if self._debug:
            logger.info("%r is serving", server)
        return server


def _check_tls_arguments(ssl: Any, handshake: float | None, shutdown: float | None) -> None:
    if isinstance(ssl, bool):
        raise TypeError("ssl argument must be an SSLContext or None")
    tls_options.refuse_without_tls(ssl, handshake, shutdown)
    if ssl is not None:
        need_tls()  # now: when the first connection is accepted there may be no descriptors left


def _bind_unix(driver: Any, path: Any) -> socket.socket:
    sock: socket.socket = driver.make_socket(socket.AF_UNIX, socket.SOCK_STREAM, 0)
    try:
        remove_stale_socket(path)
        sock.bind(path)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise OSError(errno.EADDRINUSE, f"Address {path!r} is already in use") from None
        raise
    except BaseException:
        sock.close()
        raise
    return sock
