"""Pipes: `connect_read_pipe` and `connect_write_pipe`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from cede.loop.mixin import LoopMixin

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("asyncio")


class PipesMixin(LoopMixin):
    """Pipes, FIFOs, sockets as pipes, terminals and other character devices."""

    async def connect_read_pipe(self, protocol_factory: Callable[[], Any], pipe: Any) -> tuple[Any, Any]:  # type: ignore[override]
        """Receive from `pipe`, a file object that the transport owns from now on; return ``(transport, protocol)``.

        Raises ValueError for what is no pipe, socket or character device, RuntimeError where its descriptor is in use.
        """
        from cede.net.pipe.read_pipe import ReadPipeTransport

        return await self._connect_pipe("Read", ReadPipeTransport, protocol_factory, pipe)

    async def connect_write_pipe(self, protocol_factory: Callable[[], Any], pipe: Any) -> tuple[Any, Any]:  # type: ignore[override]
        """Write to `pipe`, a file object that the transport owns from now on; return ``(transport, protocol)``.

        Raises ValueError for what is no pipe, socket or character device, RuntimeError where its descriptor is in use.
        """
        from cede.net.pipe.write_pipe import WritePipeTransport

        return await self._connect_pipe("Write", WritePipeTransport, protocol_factory, pipe)

    async def _connect_pipe(self, end: str, kind: Any, protocol_factory: Callable[[], Any], pipe: Any) -> tuple[Any, Any]:
        self._check_closed()
        protocol = protocol_factory()
        waiter = self.new_waiter(pipe)
        transport = kind(self, pipe, protocol, waiter)
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        if self._debug:
            logger.debug("%s pipe %r connected: (%r, %r)", end, transport._fileno, transport, protocol)
        return transport, protocol
