"""What a stream's reader holds when TLS begins: bytes that nobody vouches for.

They came before there was any TLS, from the peer or from somebody on the way, and must not be read later as if they had come encrypted
(a known attack on STARTTLS: a command, or an answer, sent along with the last plain line). A server's peer may speak first, and what it
says then is the beginning of its handshake, so it is given to TLS, which takes nothing else. A client's peer has nothing to say yet.
"""

from __future__ import annotations

import asyncio
from typing import Any

from cede.core import stdlib


def reader_of(protocol: Any) -> Any:
    """The reader of a stream's protocol, asyncio's or ours; None for any other protocol."""
    if isinstance(protocol, (stdlib.StreamReaderProtocol, asyncio.StreamReaderProtocol)):
        return getattr(protocol, "_stream_reader", None)
    return None


def refuse_unread(reader: Any, transport: Any) -> None:
    """Close the connection and raise ConnectionAbortedError where `reader` holds anything."""
    if reader is not None and reader._buffer:
        transport.abort()
        raise ConnectionAbortedError(
            f"start_tls(): {len(reader._buffer)} bytes came before TLS began and were not read: they would be taken for encrypted ones, "
            "so the connection is closed"
        )


def hand_over(reader: Any, transport: Any) -> None:
    """Give the TLS transport what `reader` holds: the client's hello, sent before anybody looked for it, or what is refused as none."""
    if reader is not None and reader._buffer:
        transport.early(bytes(reader._buffer))
        reader._buffer.clear()
