# cython: auto_pickle=False
"""StreamReader: the bytes that a connection brings, asked for in pieces.

The public face, with the names that asyncio gave it. How bytes are held is in `byte_buffer`, waiting and flow control in
`read_buffer`, the operations in `read_operations`.
"""

from __future__ import annotations

from asyncio import events
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from cede.core import stdlib
from cede.core.task.coroutine_methods import coroutine_methods
from cede.core.task.handle import creation_stack
from cede.core.task.operation import begin
from cede.streams import coroutines as stream_coroutines
from cede.streams.read_buffer import ReadBuffer
from cede.streams.read_operations import NextLine, Read, ReadExactly, ReadLine, ReadUntil, WaitForData

if TYPE_CHECKING:
    BytesLike = bytes | bytearray | memoryview

DEFAULT_LIMIT = 64 * 1024


class StreamReader(ReadBuffer):
    """The reading half of a connection. asyncio.StreamReader's API, and ``isinstance(reader, asyncio.StreamReader)`` holds.

    `limit` is the longest line, in bytes, that `readline` and `readuntil` accept; twice the limit may be held before the
    transport is paused.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT, loop: Any = None) -> None:
        if limit <= 0:
            raise ValueError("Limit cannot be <= 0")
        self._limit = limit
        self.set_loop(events.get_event_loop() if loop is None else loop)
        self._source_traceback = creation_stack() if self._loop.get_debug() else None

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.StreamReader if type(self) is StreamReader else type(self)

    @property
    def _buffer(self) -> bytearray:
        """The live buffer, as some programs look into asyncio's. From then on it is used for all that comes in."""
        return self.show()

    # -- the protocol's side

    def set_transport(self, transport: Any) -> None:
        """Name the transport to pause and resume. Once only."""
        assert self._transport is None, "Transport already set"
        self._transport = transport

    def _replace_transport(self, transport: Any) -> None:
        self._transport = transport

    def feed_data(self, data: Any) -> None:
        """Bytes came in."""
        self.receive(data)

    def feed_eof(self) -> None:
        """No more bytes will come in."""
        self._eof = True
        self.finish(None)

    def exception(self) -> BaseException | None:
        """What `set_exception` was given, or None."""
        return self._exception

    def set_exception(self, exc: Any) -> None:
        """The connection failed: whoever reads gets `exc`."""
        self._exception = exc
        self.finish(exc)

    def at_eof(self) -> bool:
        """Whether no more bytes will come in and none are left."""
        return bool(self._eof and not self.held())

    # -- reading

    def read(self, n: int = -1) -> Coroutine[Any, Any, bytes]:
        """Read up to `n` bytes, as soon as there are any; all until the end of the stream where `n` is negative.

        b"" means the end of the stream (or that `n` was 0). Raises the connection's exception, and RuntimeError while somebody
        else waits for data.
        """
        return begin(Read.__new__(Read), self, n)

    def readexactly(self, n: int) -> Coroutine[Any, Any, bytes]:
        """Read exactly `n` bytes, however large `n` is.

        Raises IncompleteReadError with what there was, in `partial`, where the stream ends before; ValueError for a negative
        `n`; the connection's exception.
        """
        return begin(ReadExactly.__new__(ReadExactly), self, n)

    def readuntil(self, separator: BytesLike | tuple[BytesLike, ...] = b"\n") -> Coroutine[Any, Any, bytes]:
        """Read up to and including `separator`, or the first to be complete of a tuple of separators.

        Raises IncompleteReadError with what there was, in `partial`, where the stream ends before; LimitOverrunError, leaving
        all bytes where they are, where more than the limit would come before the separator; the connection's exception.
        """
        return begin(ReadUntil.__new__(ReadUntil), self, separator)

    def readline(self) -> Coroutine[Any, Any, bytes]:
        r"""Read a line, with its b"\n"; the last one, without it, where the stream ends before; b"" at the end.

        Raises ValueError where the line is longer than the limit, and removes it, or what there is of it; the connection's exception.
        """
        return begin(ReadLine.__new__(ReadLine), self, None)

    def __aiter__(self) -> StreamReader:
        return self

    def __anext__(self) -> Coroutine[Any, Any, bytes]:
        return begin(NextLine.__new__(NextLine), self, None)

    # -- names that subclasses of asyncio's reader know

    def _wait_for_data(self, func_name: str) -> Any:
        return begin(WaitForData.__new__(WaitForData), self, func_name)

    def _wakeup_waiter(self) -> None:
        self.finish(None)

    def _maybe_resume_transport(self) -> None:
        self.resume_if_low()

    def __repr__(self) -> str:
        parts = [type(self).__name__]
        if self.held():
            parts.append(f"{self.held()} bytes")
        if self._eof:
            parts.append("eof")
        if self.given_limit != DEFAULT_LIMIT:
            parts.append(f"limit={self.given_limit}")
        if self._waiter is not None:
            parts.append(f"waiter={self._waiter!r}")
        if self._exception is not None:
            parts.append(f"exception={self._exception!r}")
        if self._transport is not None:
            parts.append(f"transport={self._transport!r}")
        if self._paused:
            parts.append("paused")
        return f"<{' '.join(parts)}>"


coroutine_methods(
    StreamReader,
    read=stream_coroutines.read,
    readexactly=stream_coroutines.readexactly,
    readuntil=stream_coroutines.readuntil,
    readline=stream_coroutines.readline,
    __anext__=stream_coroutines.next_line,
    _wait_for_data=stream_coroutines.wait_for_data,
)
