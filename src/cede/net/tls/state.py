# cython: auto_pickle=False
"""What a TLS transport knows of itself, and what it can be asked.

The states, in the only order in which they can follow one another (some may be left out):

* MADE: there is no transport underneath yet.
* SHAKING: the handshake is under way; what is written is kept.
* OPEN: data flows.
* FLUSHING: `close` was called, or the peer ended; what was written is still being encrypted, as the transport underneath has room.
* CLOSING: close_notify is sent; the peer's, or the end of its stream, is awaited, and data that still comes is dropped.
* ENDING: the transport underneath was told to close, and flushes, or to abort.
* LOST: it is gone, and nothing is called any more.
"""

from __future__ import annotations

from asyncio import transports
from typing import Any

from cede.net.creation_site import origin_of
from cede.net.flow_control import FlowControl
from cede.net.tls.buffers import Scratch
from cede.net.tls.records import Records

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    MADE, SHAKING, OPEN, FLUSHING, CLOSING, ENDING, LOST = range(7)


class AsSSLTransport(transports._FlowControlMixin, transports.Transport):  # type: ignore[misc]
    """What `TLSTransport` says that it is: a compiled class cannot inherit from classes with slots in Python."""

    __slots__ = ()


class TLSState(FlowControl):
    """The state of a TLS transport, and the questions about it."""

    lower: Any  # the transport underneath
    plain: Any  # the same, if it is a StreamTransport
    sslcontext: Any
    sslobj: Any  # the ssl.SSLObject of the handshake
    cipher: Any  # what encrypts and decrypts: the part of `sslobj` that is C, where that is the standard one
    incoming: Any  # ssl.MemoryBIO: ciphertext that came
    outgoing: Any  # ssl.MemoryBIO: ciphertext to be sent
    records: Records
    scratch: Scratch
    own_memory: Any
    backlog: list[Any]  # data that waits to be encrypted
    step: int  # the kernel's count of steps when something was sent last
    spent: int  # how much this step has sent
    allowance: int  # and how much it may send
    rested_at: float  # when it had sent that
    sending_later: bool  # going on with the backlog is on the ring
    batch: bytearray | None  # ciphertext that is being read
    batch_view: Any
    position: int
    end: int
    gathered: bytearray | None  # memory of ours for what is decrypted of a batch
    target: Any  # a view of it, or the protocol's buffer: what is being filled
    filled: int
    server: Any
    server_side: bool
    state: int
    told: bool  # the protocol has been told connection_made
    eof_told: bool
    established: bool
    reading_paused: bool
    unread: bool  # there may be data inside of OpenSSL, or of `incoming`, that the protocol has not got
    scheduled: bool  # reading it is on the ring
    choked: bool  # receiving is paused until what we had to answer can be sent
    peer_done: bool  # close_notify came
    lower_eof: bool
    lower_paused: bool  # the transport underneath has told us to write no more
    awaits_peer: bool  # OpenSSL has to hear of the peer before it encrypts more
    flushing: bool  # the backlog is being sent
    inside: bool  # OpenSSL is at work for us
    missed: bool  # something was wanted of it meanwhile, and has to be done when it has come back
    late: list[bytes]  # ciphertext that came meanwhile
    lost_writes: int
    strayed: int
    failure: Any
    read_error: Any
    waiter: Any
    timer: Any

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return AsSSLTransport

    def is_reading(self) -> bool:
        """Whether data is passed to the protocol as it arrives."""
        return self.state < FLUSHING and not self.reading_paused

    def can_write_eof(self) -> bool:
        """False: with TLS the sending side cannot be closed alone."""
        return False

    def write_eof(self) -> None:
        """Raises NotImplementedError."""
        raise NotImplementedError("a TLS transport cannot close its sending side alone: use close()")

    def get_protocol(self) -> Any:
        """The protocol; None once the connection is gone."""
        return self.protocol

    def get_read_buffer_size(self) -> int:
        """Bytes that were received and not decrypted yet: what a pause leaves, less than 100 KiB."""
        return self.incoming.pending  # type: ignore[no-any-return]

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``sslcontext``; after the handshake ``ssl_object``, ``peercert``, ``cipher`` and ``compression``; then what the transport
        underneath knows: ``socket``, ``sockname``, ``peername``; `default` for anything else.

        ``close_notify``, which asyncio has not: whether the peer has said that it sends no more. An end without that may have been made by
        somebody on the way, and what came before may be cut off.
        """
        if name == "sslcontext":
            return self.sslcontext
        if name == "close_notify":
            return self.peer_done
        if self.established:
            if name == "ssl_object":
                return self.sslobj
            if name == "peercert":
                return self.sslobj.getpeercert()
            if name == "cipher":
                return self.sslobj.cipher()
            if name == "compression":
                return self.sslobj.compression()
        return default if self.lower is None else self.lower.get_extra_info(name, default)

    def __repr__(self) -> str:
        parts = [type(self).__name__]
        if self.state == LOST:
            parts.append("closed")
        elif self.state >= FLUSHING:
            parts.append("closing")
        elif self.state != OPEN:
            parts.append("in its handshake")
        parts.append(f"over {self.lower!r}")
        parts += origin_of(self)
        return f"<{' '.join(parts)}>"

    @property
    def _in_handshake(self) -> bool:
        return self.state <= SHAKING

    # -- asyncio's names

    @property
    def _loop(self) -> Any:
        return self.kernel

    @property
    def _ssl_protocol(self) -> Any:
        return None if self.lower is None else self.lower.get_protocol()

    @property
    def _closed(self) -> bool:
        return self.state >= FLUSHING
