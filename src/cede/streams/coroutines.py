"""The coroutine methods of readers, writers and their protocols: what they are called with, and, uncompiled, what they do.

Not compiled: a coroutine should have a frame that can be seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cede.core.task import operation
from cede.streams import flow_control, foreign, read_operations

if TYPE_CHECKING:
    BytesLike = bytes | bytearray | memoryview

begin: Any = getattr(operation, "begin", None)  # compiled, where none of this runs, it is not to be had


async def read(self: Any, n: int = -1) -> bytes:
    """``reader.read(n)``."""
    try:
        return await begin(read_operations.Read.__new__(read_operations.Read), self, n)  # type: ignore[no-any-return]
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def readexactly(self: Any, n: int) -> bytes:
    """``reader.readexactly(n)``."""
    try:
        return await begin(read_operations.ReadExactly.__new__(read_operations.ReadExactly), self, n)  # type: ignore[no-any-return]
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def readuntil(self: Any, separator: BytesLike | tuple[BytesLike, ...] = b"\n") -> bytes:
    """``reader.readuntil(separator)``."""
    try:
        return await begin(read_operations.ReadUntil.__new__(read_operations.ReadUntil), self, separator)  # type: ignore[no-any-return]
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def readline(self: Any) -> bytes:
    """``reader.readline()``."""
    try:
        return await begin(read_operations.ReadLine.__new__(read_operations.ReadLine), self, None)  # type: ignore[no-any-return]
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def next_line(self: Any) -> bytes:
    """``async for line in reader``."""
    try:
        return await begin(read_operations.NextLine.__new__(read_operations.NextLine), self, None)  # type: ignore[no-any-return]
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def wait_for_data(self: Any, func_name: str) -> None:
    """``reader._wait_for_data()``."""
    try:
        await begin(read_operations.WaitForData.__new__(read_operations.WaitForData), self, func_name)
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def drain(self: Any) -> None:
    """``writer.drain()``."""
    try:
        if self.flow is None:
            await foreign.drain_foreign(self)
        else:
            await begin(flow_control.Drain.__new__(flow_control.Drain), self.flow, self)
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def drain_helper(self: Any) -> None:
    """``protocol._drain_helper()``."""
    try:
        await begin(flow_control.Drain.__new__(flow_control.Drain), self, None)
    finally:
        del self  # an error's traceback holds this frame, and the reader holds the error


async def wait_closed(self: Any) -> None:
    """``writer.wait_closed()``."""
    try:
        if self.flow is None:
            await foreign.wait_closed_foreign(self)
        else:
            await begin(flow_control.WaitClosed.__new__(flow_control.WaitClosed), self.flow, None)
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
    await foreign.start_tls(self, sslcontext, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
