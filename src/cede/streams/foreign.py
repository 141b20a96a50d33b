"""What a stream's writer does over a protocol that is not ours, and how its connection goes over to TLS.

Not compiled: a coroutine should have a frame that can be seen.
"""

from __future__ import annotations

from typing import Any

from cede.core import stdlib
from cede.net.tls.unread_plaintext import reader_of, refuse_unread


async def start_tls(
    writer: Any,
    sslcontext: Any,
    server_hostname: str | None,
    ssl_handshake_timeout: float | None,
    ssl_shutdown_timeout: float | None,
) -> None:
    protocol = writer._protocol
    server_side = protocol._client_connected_cb is not None
    await writer.drain()
    reader = reader_of(protocol)
    if not server_side:
        refuse_unread(reader, writer._transport)
    early = b"" if reader is None else bytes(reader._buffer)
    transport = await writer._loop.start_tls(
        writer._transport,
        protocol,
        sslcontext,
        server_side=server_side,
        server_hostname=server_hostname,
        ssl_handshake_timeout=ssl_handshake_timeout,
        ssl_shutdown_timeout=ssl_shutdown_timeout,
    )
    if early and reader._buffer.startswith(early):
        refuse_unread(reader, transport)  # asyncio's loop did not give it to TLS before Python 3.14
    writer._transport = transport
    protocol._replace_transport(transport)


async def drain_foreign(writer: Any) -> None:
    """`drain` over a protocol that is not ours."""
    if writer._reader is not None:
        error = writer._reader.exception()
        if error is not None:
            raise error
    if writer._transport.is_closing():
        await stdlib.sleep(0)
    await writer._protocol._drain_helper()


async def wait_closed_foreign(writer: Any) -> None:
    """`wait_closed` over a protocol that is not ours."""
    await writer._protocol._get_close_waiter(writer)
