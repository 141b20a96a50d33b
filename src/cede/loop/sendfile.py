"""Files to sockets: `sendfile` and `sock_sendfile`, by reading and sending in turn."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from cede.loop.part import Part

BLOCK = 256 * 1024


def check_sendfile(file: Any, offset: Any, count: Any) -> None:
    """Raises ValueError or TypeError, as asyncio does, for arguments that make no sense."""
    if "b" not in getattr(file, "mode", "b"):
        raise ValueError("file should be opened in binary mode")
    if count is not None:
        if not isinstance(count, int):
            raise TypeError(f"count must be a positive integer (got {count!r})")
        if count <= 0:
            raise ValueError(f"count must be a positive integer (got {count!r})")
    if not isinstance(offset, int):
        raise TypeError(f"offset must be a non-negative integer (got {offset!r})")
    if offset < 0:
        raise ValueError(f"offset must be a non-negative integer (got {offset!r})")


class _WriteGate(asyncio.Protocol):
    """Stands in for a transport's protocol while a file is being sent: nothing but flow control."""

    def __init__(self, loop: Any, transport: Any) -> None:
        self._loop = loop
        self._transport = transport
        self._outer = transport.get_protocol()
        self._was_reading = transport.is_reading()
        self._open: asyncio.Future[None] | None = None
        self._lost: BaseException | None = None
        self._gone = False
        transport.pause_reading()
        transport.set_protocol(self)
        if getattr(transport, "_protocol_paused", False):
            self.pause_writing()

    def pause_writing(self) -> None:
        if self._open is None:
            self._open = self._loop.create_future()

    def resume_writing(self) -> None:
        gate, self._open = self._open, None
        if gate is not None and not gate.done():
            gate.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone, self._lost = True, exc
        gate = self._open
        if gate is not None and not gate.done():
            gate.set_exception(exc or ConnectionError("Connection is closed by peer"))
        self._outer.connection_lost(exc)

    async def passed(self) -> None:
        """Wait until there is room. Raises ConnectionError once the connection is lost."""
        if self._gone or self._transport.is_closing():
            raise self._lost or ConnectionError("Connection closed by peer")
        if self._open is not None:
            await self._open

    def restore(self) -> None:
        """Give the transport its protocol back, and tell it what it missed of the flow control."""
        self._transport.set_protocol(self._outer)
        if self._was_reading and not self._gone:
            self._transport.resume_reading()
        gate, self._open = self._open, None
        if gate is not None:
            gate.cancel()
            if not self._gone:
                self._outer.pause_writing()


class SendfilePart(Part):
    """Sending files."""

    async def sendfile(self, transport: Any, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool = True) -> int:
        """Send `file`, a binary file, from `offset` (bytes) through `transport`; at most `count` bytes. Returns the
        bytes sent.

        Nothing is received meanwhile. Raises RuntimeError on a closing transport, on one that cannot send files, and
        without `fallback`.
        """
        if transport.is_closing():
            raise RuntimeError("Transport is closing")
        mode = getattr(transport, "_sendfile_compatible", None)
        if mode is None or getattr(mode, "name", "") == "UNSUPPORTED":
            raise RuntimeError(f"sendfile is not supported for transport {transport!r}")
        check_sendfile(file, offset, count)
        if not fallback:
            raise RuntimeError(f"fallback is disabled and native sendfile is not supported for transport {transport!r}")
        gate = _WriteGate(self, transport)
        sent = 0
        file.seek(offset)
        try:
            while count is None or sent < count:
                block = await self._read_block(file, BLOCK if count is None else min(BLOCK, count - sent))
                if not block:
                    break
                await gate.passed()
                transport.write(block)
                sent += len(block)
            return sent
        finally:
            file.seek(offset + sent)
            gate.restore()

    async def sock_sendfile(  # type: ignore[override]
        self, sock: socket.socket, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool | None = True
    ) -> int:
        """Send `file`, a binary file, from `offset` (bytes) through `sock`; at most `count` bytes. Returns the bytes
        sent.

        Raises ValueError for a socket that is no stream, asyncio.SendfileNotAvailableError without `fallback`.
        """
        self._check_sock(sock)
        if sock.type != socket.SOCK_STREAM:
            raise ValueError("only SOCK_STREAM type sockets are supported")
        check_sendfile(file, offset, count)
        if not fallback:
            raise asyncio.SendfileNotAvailableError(f"syscall sendfile is not available for socket {sock!r} and file {file!r} combination")
        sent = 0
        file.seek(offset)
        try:
            while count is None or sent < count:
                block = await self._read_block(file, BLOCK if count is None else min(BLOCK, count - sent))
                if not block:
                    break
                await self.sock_sendall(sock, block)
                sent += len(block)
            return sent
        finally:
            file.seek(offset + sent)

    async def _read_block(self, file: Any, size: int) -> bytes:
        return await self.run_in_executor(None, file.read, size)
