# cython: auto_pickle=False
"""StreamWriter: what goes out on a connection."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Coroutine, Iterable
from typing import Any

from cede.core import stdlib
from cede.core.task.coroutine_methods import coroutine_methods
from cede.core.task.operation import begin
from cede.streams import coroutines as stream_coroutines
from cede.streams.flow_control import Drain, FlowControlMixin, WaitClosed, WriteFlow
from cede.streams.foreign import drain_foreign, start_tls, wait_closed_foreign
from cede.streams.read_buffer import ReadBuffer


class StreamWriter(WriteFlow):
    """The writing half of a connection. asyncio.StreamWriter's API, and ``isinstance(writer, asyncio.StreamWriter)`` holds."""

    # Kept here, because at the end of the process the names of modules may go before the last writer does.
    _interpreter_ends = staticmethod(sys.is_finalizing)

    def __init__(self, transport: Any, protocol: Any, reader: Any, loop: Any) -> None:
        if reader is not None and not isinstance(reader, (ReadBuffer, stdlib.StreamReader)):
            raise TypeError(f"StreamWriter(): reader must be a StreamReader or None, got {reader!r}")
        self._transport = transport
        self._protocol = protocol
        self._reader = reader
        self.inflow = reader if isinstance(reader, ReadBuffer) else None
        self._loop = loop
        # A protocol of asyncio's, or anybody's, is asked through its methods instead.
        self.flow = protocol if issubclass(type(protocol), FlowControlMixin) else None

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.StreamWriter if type(self) is StreamWriter else type(self)

    @property
    def transport(self) -> Any:
        """The transport underneath."""
        return self._transport

    def write(self, data: Any) -> None:
        """Send `data`: at once as far as the kernel takes it, the rest when it has room. Never waits; follow it by ``drain()``."""
        self._transport.write(data)

    def writelines(self, data: Iterable[Any]) -> None:
        """Send several bytes-like objects, one after the other."""
        self._transport.writelines(data)

    def write_eof(self) -> None:
        """Close the writing direction after what was written."""
        self._transport.write_eof()

    def can_write_eof(self) -> bool:
        """Whether `write_eof` is possible; not with TLS."""
        return self._transport.can_write_eof()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the connection after what was written. ``wait_closed()`` waits for that."""
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed, or about to be."""
        return self._transport.is_closing()  # type: ignore[no-any-return]

    def wait_closed(self) -> Coroutine[Any, Any, None]:
        """Wait until the connection is closed. Raises what it was lost with, if it was lost."""
        if self.flow is None:
            return wait_closed_foreign(self)
        return begin(WaitClosed.__new__(WaitClosed), self.flow, None)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport knows about `name`: "peername", "socket", "sslcontext"..."""
        return self._transport.get_extra_info(name, default)

    def drain(self) -> Coroutine[Any, Any, None]:
        """Wait until the transport has room for more; does not wait where it has.

        Raises the connection's exception, and ConnectionResetError where it was lost without one.
        """
        if self.flow is None:
            return drain_foreign(self)
        return begin(Drain.__new__(Drain), self.flow, self)

    def start_tls(
        self,
        sslcontext: Any,
        *,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Upgrade the connection to TLS. The timeouts are in seconds. A coroutine."""
        return start_tls(self, sslcontext, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)

    def __repr__(self) -> str:
        text = f"<{type(self).__name__} transport={self._transport!r}"
        return f"{text}>" if self._reader is None else f"{text} reader={self._reader!r}>"

    def __del__(self) -> None:
        try:
            transport = self._transport
            if transport is None or transport.is_closing():
                return
            if self._loop.is_closed():
                warnings.warn("loop is closed", ResourceWarning, stacklevel=1)
            else:
                self.close()
                warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=1)
        except:  # noqa: E722 (the names of exceptions may be gone)
            if not self._interpreter_ends():
                raise


coroutine_methods(
    StreamWriter, drain=stream_coroutines.drain, wait_closed=stream_coroutines.wait_closed, start_tls=stream_coroutines.start_tls
)
