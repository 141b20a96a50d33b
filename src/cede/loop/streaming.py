"""Stream transports: how a connected socket and a protocol come together, with TLS between them or without;
`start_tls`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cede.loop.mixin import LoopMixin
from cede.net.stream.transport import StreamTransport
from cede.net.tls import options as tls_options
from cede.net.tls.unread_plaintext import hand_over, reader_of, refuse_unread

if TYPE_CHECKING:
    import asyncio


class StreamingMixin(LoopMixin):
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
        kind = StreamTransport if server is None else server._kind
        if not ssl:
            return kind(self, sock, protocol, waiter, extra, server)  # type: ignore[arg-type]
        tls, lower_protocol = need_tls()
        context = tls_options.context_for(ssl, server_side, server_hostname)
        transport = tls.TLSTransport(
            self, protocol, context, waiter, server_side, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout
        )
        kind(self, sock, lower_protocol.LowerProtocol(transport), None, extra, None, transport.own_context())  # type: ignore[arg-type]
        if server is not None:
            transport.attach_to(server)
        return transport

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

        `transport` may be a TLS transport itself. Timeouts are in seconds. Raises TypeError for a bad context or a
        transport that cannot be upgraded, ssl.SSLError where the handshake fails, ConnectionError where the connection
        is closed, or lost before it is done, and, on the client's side, where a stream's reader still holds bytes that
        came before.
        """
        self._check_closed()
        tls, lower_protocol = need_tls()
        from ssl import SSLContext

        if not isinstance(sslcontext, SSLContext):
            raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}")
        if not getattr(transport, "_start_tls_compatible", False):
            raise TypeError(f"transport {transport!r} is not supported by start_tls()")
        if transport.is_closing():
            # Nothing would come any more, and the handshake would wait until its time is over.
            raise ConnectionResetError("start_tls(): the connection is closed")
        reader = reader_of(protocol)
        if not server_side:
            refuse_unread(reader, transport)
        waiter = self.new_waiter(transport)
        upgraded = tls.TLSTransport(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout,
            ssl_shutdown_timeout,
            True,
            tls.context_of(transport),
        )
        # Nothing may reach the layer before it knows its transport.
        transport.pause_reading()
        if server_side:
            hand_over(reader, upgraded)
        port = lower_protocol.LowerProtocol(upgraded)
        transport.set_protocol(port)
        begin = self.call_soon(port.connection_made, transport, context=upgraded.own_context().copy())
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
        return upgraded


def need_tls() -> Any:
    """The modules that do TLS. Raises RuntimeError where Python was built without."""
    try:
        from cede.net.tls import lower_protocol
        from cede.net.tls import transport as tls
    except ImportError as error:
        if error.name not in ("ssl", "_ssl"):
            raise  # of our own modules, for want of a descriptor perhaps
        raise RuntimeError("TLS needs Python's ssl module, which this Python was built without") from error
    return tls, lower_protocol
