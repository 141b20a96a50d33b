"""Stream transports: how a connected socket and a protocol come together, with TLS between them or without;
`start_tls`.

TLS is the standard library's own protocol layer over our transport, imported, so its handshake, its timeouts and its
fixes are those of the Python that runs.
"""

from __future__ import annotations

from asyncio import streams
from typing import TYPE_CHECKING, Any

from cede.loop.part import Part
from cede.net.metered import MeteredTransport
from cede.net.stream import StreamTransport

if TYPE_CHECKING:
    import asyncio


class StreamingPart(Part):
    """Makes stream transports."""

    def _start_stream(
        self,
        sock: Any,
        protocol: asyncio.BaseProtocol,
        waiter: Any = None,
        *,
        ssl: Any = None,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        """A transport for `protocol` over the connected, non-blocking `sock`; `waiter` is set when the protocol may use
        it.
        """
        kind = StreamTransport if server is None or not server._metered else MeteredTransport
        if not ssl:
            return kind(self, sock, protocol, waiter, extra, server)  # type: ignore[arg-type]
        layer = self._tls_layer(
            protocol,
            None if ssl is True else ssl,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        kind(self, sock, layer, None, extra, server)  # type: ignore[arg-type]
        return layer._app_transport

    def _tls_layer(self, *args: Any, **options: Any) -> Any:
        try:
            from asyncio import sslproto
        except ImportError as error:
            raise RuntimeError("TLS needs Python's ssl module, which this Python was built without") from error
        return sslproto.SSLProtocol(self, *args, **options)  # type: ignore[arg-type]

    async def start_tls(  # type: ignore[override]
        self,
        transport: Any,
        protocol: asyncio.BaseProtocol,
        sslcontext: Any,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        """Put TLS between `transport` and `protocol`; return the transport that `protocol` uses from now on.

        Timeouts are in seconds. Raises TypeError for a bad context or a transport that cannot be upgraded, ssl.SSLError
        where the handshake fails.
        """
        self._check_closed()
        try:
            from ssl import SSLContext
        except ImportError as error:
            raise RuntimeError("Python ssl module is not available") from error
        if not isinstance(sslcontext, SSLContext):
            raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}")
        if not getattr(transport, "_start_tls_compatible", False):
            raise TypeError(f"transport {transport!r} is not supported by start_tls()")
        waiter = self.create_future()
        layer = self._tls_layer(
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
            call_connection_made=False,
        )
        # Nothing may reach the layer before it knows its transport.
        transport.pause_reading()
        if server_side:
            hand_over(protocol, layer)
        transport.set_protocol(layer)
        begin = self.call_soon(layer.connection_made, transport)
        resume = self.call_soon(transport.resume_reading)
        try:
            await waiter
        except BaseException:
            transport.close()
            begin.cancel()
            resume.cancel()
            raise
        finally:
            del waiter
        return layer._app_transport


def hand_over(protocol: Any, layer: Any) -> None:
    """Give the TLS layer what a stream's reader already holds: the client's hello, sent before anybody looked for it."""
    if not isinstance(protocol, streams.StreamReaderProtocol):
        return
    reader: Any = protocol._stream_reader  # type: ignore[attr-defined]
    if reader is not None and reader._buffer:
        layer._incoming.write(bytes(reader._buffer))
        reader._buffer.clear()
