"""Pipes, on the standard library's pipe transports."""

from __future__ import annotations

from asyncio import unix_events
from typing import TYPE_CHECKING, Any

from cede.loop.part import Part

if TYPE_CHECKING:
    from collections.abc import Callable


class PipesPart(Part):
    """``connect_read_pipe`` and ``connect_write_pipe``."""

    async def connect_read_pipe(self, protocol_factory: Callable[[], Any], pipe: Any) -> tuple[Any, Any]:  # type: ignore[override]
        """Receive from `pipe`, a file object that the transport owns from now on; return ``(transport, protocol)``.

        Raises ValueError for what is no pipe, socket or character device.
        """
        return await self._connect_pipe(unix_events._UnixReadPipeTransport, protocol_factory, pipe)  # type: ignore[attr-defined]

    async def connect_write_pipe(self, protocol_factory: Callable[[], Any], pipe: Any) -> tuple[Any, Any]:  # type: ignore[override]
        """Send to `pipe`, a file object that the transport owns from now on; return ``(transport, protocol)``.

        Raises ValueError for what is no pipe, socket or character device.
        """
        return await self._connect_pipe(unix_events._UnixWritePipeTransport, protocol_factory, pipe)  # type: ignore[attr-defined]

    async def _connect_pipe(self, kind: Any, protocol_factory: Callable[[], Any], pipe: Any) -> tuple[Any, Any]:
        self._check_closed()
        protocol = protocol_factory()
        waiter = self.create_future()
        transport = kind(self, pipe, protocol, waiter)
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol
