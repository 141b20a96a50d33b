"""Datagram endpoints: `create_datagram_endpoint`."""

from __future__ import annotations

import logging
import socket
import sys
import warnings
from typing import TYPE_CHECKING, Any

from cede.loop.mixin import LoopMixin
from cede.loop.serving import remove_stale_socket, set_reuse_port

if TYPE_CHECKING:
    from collections.abc import Callable


logger = logging.getLogger("asyncio")


class DatagramsMixin(LoopMixin):
    """UDP, and datagrams over Unix sockets."""

    async def create_datagram_endpoint(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], Any],
        local_addr: Any = None,
        remote_addr: Any = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: socket.socket | None = None,
        **removed: Any,
    ) -> tuple[Any, Any]:
        """Open a datagram socket, bound to `local_addr` and sending to `remote_addr` where these are given; return
        ``(transport, protocol)``.

        Raises OSError where no address fits, ValueError or TypeError for arguments that make no sense together.
        """
        self._check_closed()
        if "reuse_address" in removed:
            if removed.pop("reuse_address"):
                raise ValueError("Passing `reuse_address=True` is no longer supported, as it allows two programs to share a port")
            warnings.warn("reuse_address has no effect, and is gone from asyncio: leave it out", DeprecationWarning, stacklevel=2)
        if removed:
            raise TypeError(f"create_datagram_endpoint() got an unexpected keyword argument {next(iter(removed))!r}")
        from cede.net.datagram.transport import DatagramTransport

        target = None
        made_here = sock is None
        if sock is not None:
            options = {
                "local_addr": local_addr,
                "remote_addr": remote_addr,
                "family": family,
                "proto": proto,
                "flags": flags,
                "reuse_port": reuse_port,
                "allow_broadcast": allow_broadcast,
            }
            if sock.type == socket.SOCK_STREAM:
                kind = "datagram socket" if sys.version_info >= (3, 13) else "UDP Socket"  # as asyncio puts it
                raise ValueError(f"A {kind} was expected, got {sock!r}")
            problems = ", ".join(f"{name}={value}" for name, value in options.items() if value)
            if problems:
                raise ValueError(f"socket modifier keyword arguments can not be used when sock is specified. ({problems})")
            sock.setblocking(False)
        else:
            sock, target = await self._open_datagram_socket(local_addr, remote_addr, family, proto, flags, reuse_port, allow_broadcast)
        try:
            protocol = protocol_factory()
            waiter = self.new_waiter(sock)
            transport = DatagramTransport(self, sock, protocol, target, waiter)  # type: ignore[arg-type]
        except BaseException:
            if made_here:
                sock.close()
            raise
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        if self._debug:
            if local_addr:
                said = (local_addr, remote_addr, transport, protocol)
                logger.info("Datagram endpoint local_addr=%r remote_addr=%r created: (%r, %r)", *said)
            else:
                logger.debug("Datagram endpoint remote_addr=%r created: (%r, %r)", remote_addr, transport, protocol)
        return transport, protocol

    async def _open_datagram_socket(
        self, local: Any, remote: Any, family: int, proto: int, flags: int, reuse_port: Any, allow_broadcast: Any
    ) -> tuple[socket.socket, Any]:
        """The first socket that can be opened for the two addresses, and the address it is to send to."""
        pairs = await self._datagram_addresses(local, remote, family, proto, flags)
        first_error: OSError | None = None
        try:
            for (use_family, use_proto), (local_address, remote_address) in pairs:
                sock: Any = None
                try:
                    sock = self.driver.make_socket(use_family, socket.SOCK_DGRAM, use_proto)
                    if reuse_port:
                        set_reuse_port(sock)
                    if allow_broadcast:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                    if local:
                        sock.bind(local_address)
                    if remote and not allow_broadcast:
                        await self.sock_connect(sock, remote_address)
                    return sock, remote_address if remote else None
                except OSError as error:
                    if sock is not None:
                        sock.close()
                    first_error = first_error or error
                except BaseException:
                    if sock is not None:
                        sock.close()
                    raise
            assert first_error is not None
            raise first_error
        finally:
            del first_error  # its traceback holds this frame

    async def _datagram_addresses(self, local: Any, remote: Any, family: int, proto: int, flags: int) -> list[Any]:
        if not (local or remote):
            if family == 0:
                raise ValueError("unexpected address family")
            return [((family, proto), (None, None))]
        if family == getattr(socket, "AF_UNIX", None):
            for address in (local, remote):
                if address is not None and not isinstance(address, str):
                    raise TypeError(f"string is expected as the address of a Unix socket, got {address!r}")
            if local:
                remove_stale_socket(local)
            return [((family, proto), (local, remote))]
        found: dict[tuple[int, int], list[Any]] = {}
        for place, address in enumerate((local, remote)):
            if address is None:
                continue
            if not (isinstance(address, tuple) and len(address) == 2):
                raise TypeError(f"2-tuple is expected as an address, got {address!r}")
            infos = await self._resolve(address, family=family, type=socket.SOCK_DGRAM, proto=proto, flags=flags)
            if not infos:
                raise OSError("getaddrinfo() returned empty list")
            for use_family, _, use_proto, _, resolved in infos:
                found.setdefault((use_family, use_proto), [None, None])[place] = resolved
        pairs = [(key, pair) for key, pair in found.items() if not (local and pair[0] is None) and not (remote and pair[1] is None)]
        if not pairs:
            raise ValueError("can not get address information")
        return pairs
