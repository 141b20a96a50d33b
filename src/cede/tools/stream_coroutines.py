"""The coroutine methods of readers, writers and their protocols: what they are called with, and, uncompiled, what they do.

Not compiled: a coroutine should have a frame that can be seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cede.tools import foreign_streams, operation, outflow, reading

if TYPE_CHECKING:
    BytesLike = bytes | bytearray | memoryview

begin: Any = getattr(operation, "begin", None)  # compiled, where none of this runs, it is not to be had


async def read(self: Any, n: int = -1) -> bytes:
    """``reader.read(n)``."""
    try:
        return await begin(reading.Read.__new__(reading.Read), self, n)  # type: ignore[no-any-return]
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def readexactly(self: Any, n: int) -> bytes:
    """``reader.readexactly(n)``."""
    try:
        return await begin(reading.ReadExactly.__new__(reading.ReadExactly), self, n)  # type: ignore[no-any-return]
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def readuntil(self: Any, separator: BytesLike | tuple[BytesLike, ...] = b"\n") -> bytes:
    """``reader.readuntil(separator)``."""
    try:
        return await begin(reading.ReadUntil.__new__(reading.ReadUntil), self, separator)  # type: ignore[no-any-return]
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def readline(self: Any) -> bytes:
    """``reader.readline()``."""
    try:
        return await begin(reading.ReadLine.__new__(reading.ReadLine), self, None)  # type: ignore[no-any-return]
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def next_line(self: Any) -> bytes:
    """``async for line in reader``."""
    try:
        return await begin(reading.NextLine.__new__(reading.NextLine), self, None)  # type: ignore[no-any-return]
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def wait_for_data(self: Any, func_name: str) -> None:
    """``reader._wait_for_data()``."""
    try:
        await begin(reading.WaitForData.__new__(reading.WaitForData), self, func_name)
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def drain(self: Any) -> None:
    """``writer.drain()``."""
    try:
        if self.flow is None:
            await foreign_streams.drain_foreign(self)
        else:
            await begin(outflow.Drain.__new__(outflow.Drain), self.flow, self)
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def drain_helper(self: Any) -> None:
    """``protocol._drain_helper()``."""
    try:
        await begin(outflow.Drain.__new__(outflow.Drain), self, None)
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def wait_closed(self: Any) -> None:
    """``writer.wait_closed()``."""
    try:
        if self.flow is None:
            await foreign_streams.wait_closed_foreign(self)
        else:
            await begin(outflow.WaitClosed.__new__(outflow.WaitClosed), self.flow, None)
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def start_tls(
    self: Any,
    sslcontext: Any,
    *,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> None:
    """``writer.start_tls(context)``."""
    await foreign_streams.start_tls(self, sslcontext, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
