"""Files to sockets: `sendfile` and `sock_sendfile`, by the system alone where it can, by reading and sending in turn otherwise."""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import socket
from asyncio import constants
from typing import TYPE_CHECKING, Any

from cede.loop.mixin import LoopMixin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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
    """Stands in for a transport's protocol while a file is read and written, for its flow control.

    Reading is paused meanwhile. Where the program resumes it all the same, what arrives goes to the protocol that it is meant for.
    """

    def __init__(self, loop: Any, transport: Any) -> None:
        self._loop = loop
        self._transport = transport
        self._outer = transport.get_protocol()
        self._outer_paused = getattr(transport, "_protocol_paused", False)
        self._was_reading = transport.is_reading()
        self._open: asyncio.Future[None] | None = None
        self._lost: BaseException | None = None
        self._gone = False
        transport.pause_reading()
        transport.set_protocol(self)
        if self._outer_paused:
            self.pause_writing()

    def pause_writing(self) -> None:
        if self._open is None:
            self._open = self._loop.new_waiter(self)

    def resume_writing(self) -> None:
        gate, self._open = self._open, None
        if gate is not None and not gate.done():
            gate.set_result(None)

    def data_received(self, data: bytes) -> None:
        if not isinstance(self._outer, asyncio.BufferedProtocol):
            self._outer.data_received(data)
            return
        rest = memoryview(data)
        while rest:
            buffer = memoryview(self._outer.get_buffer(len(rest))).cast("B")
            size = min(len(buffer), len(rest))
            if not size:
                raise RuntimeError("get_buffer() returned an empty buffer")
            buffer[:size] = rest[:size]
            self._outer.buffer_updated(size)
            rest = rest[size:]

    def eof_received(self) -> bool | None:
        return self._outer.eof_received()  # type: ignore[no-any-return]

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone, self._lost = True, exc
        gate = self._open
        if gate is not None and not gate.done():
            gate.set_result(None)  # the writer looks for itself what has become of the connection
        self._outer.connection_lost(exc)

    async def write(self, block: bytes) -> None:
        """Write when there is room. Raises what the connection was lost with, or ConnectionError."""
        while self._open is not None and not self._gone:
            await self._open
        if self._gone or self._transport.is_closing():
            raise self._lost or ConnectionError("Connection closed by peer")
        self._transport.write(block)

    def restore(self) -> None:
        """Give the transport its protocol back, and tell it what it missed of the flow control."""
        if self._gone:
            return
        self._transport.set_protocol(self._outer)
        if self._was_reading:
            self._transport.resume_reading()
        paused = self._open is not None
        if paused != self._outer_paused:
            if paused:
                self._outer.pause_writing()
            else:
                self._outer.resume_writing()


class SendfileMixin(LoopMixin):
    """Sending files."""

    async def sendfile(self, transport: Any, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool = True) -> int:
        """Send `file`, a binary file, from `offset` (bytes) through `transport`; at most `count` bytes. Returns the
        bytes sent, and leaves the file's position behind them, also where it fails.

        The system sends by itself where it can, otherwise (over TLS, or a file that is none to the system) the file is read and
        written, unless `fallback` is False. Nothing is received meanwhile, and in the first case nothing else can be written.
        Raises RuntimeError on a closing transport, on one that cannot send files, and where `fallback` would be needed and is
        False (asyncio.SendfileNotAvailableError, where the system's way was tried); ConnectionError where the connection is lost.
        """
        if transport.is_closing():
            raise RuntimeError("Transport is closing")
        mode = getattr(transport, "_sendfile_compatible", constants._SendfileMode.UNSUPPORTED)  # type: ignore[attr-defined]
        if mode is constants._SendfileMode.UNSUPPORTED:  # type: ignore[attr-defined]
            raise RuntimeError(f"sendfile is not supported for transport {transport!r}")
        check_sendfile(file, offset, count)
        if mode is constants._SendfileMode.TRY_NATIVE:  # type: ignore[attr-defined]
            try:
                return await self._sendfile_native(transport, file, offset, count)
            except asyncio.SendfileNotAvailableError:
                if not fallback:
                    raise
        if not fallback:
            raise RuntimeError(f"fallback is disabled and native sendfile is not supported for transport {transport!r}")
        gate = _WriteGate(self, transport)
        try:
            return await self._read_and_send(file, offset, count, gate.write)
        finally:
            gate.restore()

    async def _sendfile_native(self, transport: Any, file: Any, offset: int, count: int | None) -> int:
        """Raises asyncio.SendfileNotAvailableError, with nothing sent, where the system cannot."""
        begin = getattr(transport, "_begin_file", None)
        if begin is None:
            raise asyncio.SendfileNotAvailableError(f"sendfile syscall is not supported by transport {transport!r}")
        number = own_number_of(file)
        try:
            return await self._send_by_number(transport, begin, file, number, offset, count)
        finally:
            os.close(number)

    async def _send_by_number(self, transport: Any, begin: Any, file: Any, number: int, offset: int, count: int | None) -> int:
        if transport._is_sending():
            raise RuntimeError("sendfile is in progress already: one file at a time goes through a transport")
        drained = transport._make_empty_waiter()
        was_reading = transport.is_reading()
        transport.pause_reading()
        sending = None
        try:
            await drained
            sending = begin(number, offset, -1 if count is None else count)
            await sending.done
            leave_at(file, offset + sending.sent)
            return sending.sent  # type: ignore[no-any-return]
        except BaseException as error:
            if sending is not None and sending.sent:
                leave_at(file, offset + sending.sent)
            if reason := why_unavailable(error, sending):
                raise asyncio.SendfileNotAvailableError(reason) from error
            raise
        finally:
            transport._reset_empty_waiter()
            if was_reading:
                transport.resume_reading()

    async def sock_sendfile(  # type: ignore[override]
        self, sock: socket.socket, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool | None = True
    ) -> int:
        """Send `file`, a binary file, from `offset` (bytes) through `sock`; at most `count` bytes. Returns the bytes
        sent, and leaves the file's position behind them, also where it fails.

        The system sends by itself where it can; otherwise the file is read and sent, unless `fallback` is False: then
        asyncio.SendfileNotAvailableError. Raises ValueError for a socket that is no stream.
        """
        self._check_sock(sock)
        if sock.type != socket.SOCK_STREAM:
            raise ValueError("only SOCK_STREAM type sockets are supported")
        check_sendfile(file, offset, count)
        try:
            return await self._sock_sendfile_native(sock, file, offset, count)
        except asyncio.SendfileNotAvailableError:
            if not fallback:
                raise
        return await self._read_and_send(file, offset, count, functools.partial(self.sock_sendall, sock))

    async def _sock_sendfile_native(self, sock: socket.socket, file: Any, offset: int, count: int | None) -> int:
        """Raises asyncio.SendfileNotAvailableError, with nothing sent, where the system cannot."""
        sending = None
        number = own_number_of(file)
        try:
            sending = self.driver.op_sendfile(sock, number, offset, -1 if count is None else count)
            sent: int = await sending
            leave_at(file, offset + sent)
            return sent
        except BaseException as error:
            if sending is not None and sending.sent:
                leave_at(file, offset + sending.sent)
            if reason := why_unavailable(error, sending):
                raise asyncio.SendfileNotAvailableError(reason) from error
            raise
        finally:
            os.close(number)

    async def _read_and_send(self, file: Any, offset: int, count: int | None, send: Callable[[Any], Awaitable[None]]) -> int:
        """The way without the system's help, a block at a time; the file is read on a thread."""
        if offset or is_seekable(file):
            file.seek(offset)
        sent = 0
        try:
            while count is None or sent < count:
                size = BLOCK if count is None else min(BLOCK, count - sent)
                block = await self.run_in_executor(None, file.read, size)
                if not block:
                    break
                await send(block)
                sent += len(block)
            return sent
        finally:
            if not is_closed(file) and is_seekable(file):
                file.seek(offset + sent)


# What sendfile(2) answers where the file or the socket is not of a kind that it serves.
_NOT_THIS_KIND = frozenset(
    {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSOCK, errno.ESPIPE, errno.EBADF, errno.EPERM, errno.EOVERFLOW}
)


def own_number_of(file: Any) -> int:
    """A descriptor for `file` that is ours to close: the program may close its own, and open another file that gets the number.

    Raises asyncio.SendfileNotAvailableError where it has none, or where none is left: then the file can still be read.
    """
    try:
        return os.dup(int(file.fileno()))
    except (AttributeError, TypeError, OSError) as error:  # io.UnsupportedOperation is an OSError
        raise asyncio.SendfileNotAvailableError("not a regular file") from error


def why_unavailable(error: BaseException, sending: Any) -> str:
    """What to tell where an error says that the system cannot do this at all; "" where it is an error like any other."""
    if isinstance(error, NotImplementedError):
        return str(error)
    nothing_sent = sending is None or not sending.sent
    if isinstance(error, OSError) and error.errno in _NOT_THIS_KIND and nothing_sent:
        return f"os.sendfile call failed: {error}"
    return ""


def is_closed(file: Any) -> bool:
    """Whether the program has closed the file meanwhile."""
    return bool(getattr(file, "closed", False))


def leave_at(file: Any, position: int) -> None:
    """Leave the file's position behind what was sent, unless the program has closed it."""
    if not is_closed(file):
        move_to(file, position)


def is_seekable(file: Any) -> bool:
    seekable = getattr(file, "seekable", None)
    return bool(seekable()) if seekable is not None else hasattr(file, "seek")


def move_to(file: Any, position: int) -> None:
    """Leave the file's position at `position`, by the file object itself: it may have read ahead."""
    if hasattr(file, "seek"):
        file.seek(position)
    else:
        os.lseek(file.fileno(), position, os.SEEK_SET)
