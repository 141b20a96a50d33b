# cython: auto_pickle=False
"""The protocol of the transport underneath a TLS transport: what it tells goes to the floor above."""

from __future__ import annotations

from asyncio import protocols
from typing import Any

from cede.net.tls.transport import TLSTransport


class LowerProtocol:
    """Passes on to `transport` what the transport underneath tells. ``isinstance(port, asyncio.BufferedProtocol)`` holds."""

    # For a TLS transport underneath, which has decrypted bytes and would only copy them.
    takes_bytes = True

    def __init__(self, transport: TLSTransport) -> None:
        self.transport = transport

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return protocols.BufferedProtocol

    @property
    def _app_transport(self) -> Any:
        return self.transport

    @property
    def _app_reading_paused(self) -> bool:
        return bool(self.transport.reading_paused)

    def connection_made(self, transport: Any) -> None:
        """The connection is there: the handshake begins."""
        self.transport.connect(transport)

    def get_buffer(self, sizehint: int) -> Any:
        """Memory for ciphertext."""
        return self.transport.lend()

    def buffer_updated(self, count: int) -> None:
        """`count` bytes of ciphertext came."""
        self.transport.arrived(count)

    def data_received(self, data: bytes) -> None:
        """As `buffer_updated`, from a transport that has its own memory."""
        self.transport.arrived_apart(data)

    def eof_received(self) -> bool:
        """The stream underneath has ended. True: closing it is our affair."""
        self.transport.lower_ended()
        return True

    def pause_writing(self) -> None:
        """The transport underneath holds as much as it should."""
        self.transport.lower_full()

    def resume_writing(self) -> None:
        """The transport underneath has room."""
        self.transport.lower_has_room()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The transport underneath is gone."""
        self.transport.lower_lost(exc)
