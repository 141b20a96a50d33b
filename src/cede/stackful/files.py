"""A stream as a file object, for parsers that pull: csv, pickle, http.client, whatever reads from a file."""

from __future__ import annotations

import io
from collections.abc import Awaitable
from typing import Any, Protocol

from cede.stackful.coroutine import wait


class _Reader(Protocol):
    def read(self, n: int = -1) -> Awaitable[bytes]: ...


class _Writer(Protocol):
    def write(self, data: Any) -> None: ...
    def drain(self) -> Awaitable[None]: ...
    def close(self) -> None: ...


class StreamFile(io.RawIOBase):
    """The raw file: it reads what has come, and waits with its whole stack where nothing has."""

    def __init__(self, reader: _Reader | None, writer: _Writer | None) -> None:
        super().__init__()
        self._reader = reader
        self._writer = writer

    def readable(self) -> bool:
        """Whether there is a reader."""
        return self._reader is not None

    def writable(self) -> bool:
        """Whether there is a writer."""
        return self._writer is not None

    def readinto(self, buffer: Any) -> int:
        """Wait for at least one byte; 0 at the end of the stream."""
        if self._reader is None:
            raise io.UnsupportedOperation("not readable")
        view = memoryview(buffer).cast("B")
        data = wait(self._reader.read(len(view)))
        view[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        """Hand `data` to the stream, and wait until it has room for more."""
        if self._writer is None:
            raise io.UnsupportedOperation("not writable")
        kept = bytes(data)
        self._writer.write(kept)
        wait(self._writer.drain())
        return len(kept)

    def close(self) -> None:
        """Close the stream's writer too."""
        if not self.closed and self._writer is not None:
            self._writer.close()
        super().close()


def open_file(reader: _Reader | None = None, writer: _Writer | None = None, *, buffer_size: int = io.DEFAULT_BUFFER_SIZE) -> Any:
    """A buffered binary file over a stream's reader, its writer, or both; ``io.TextIOWrapper`` makes text of it.

    It is for functions that run on a stack of their own: where the file has nothing to give, that whole stack is suspended. What was
    written goes out when `buffer_size` bytes have come together, or with ``flush()``. Raises ValueError where neither is given.
    """
    if reader is not None and writer is not None:
        return io.BufferedRWPair(StreamFile(reader, None), StreamFile(None, writer), buffer_size)
    if reader is not None:
        return io.BufferedReader(StreamFile(reader, None), buffer_size)
    if writer is not None:
        return io.BufferedWriter(StreamFile(None, writer), buffer_size)
    raise ValueError("open_file() needs a reader, a writer, or both")
