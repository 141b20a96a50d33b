# cython: auto_pickle=False
"""The TLS transport: handshake and end, over whatever transport carries the bytes.

Underneath is a stream transport as a rule, or another of these (TLS in TLS), or anything that asyncio's `start_tls` would take. OpenSSL is
reached through `ssl.SSLContext.wrap_bio`, so the context is taken as the user made it.

Invariants
----------
* `state` goes forward only (see `state.py`). Whoever moves it on to ENDING goes through `part` or `finish`.
* `connection_made` is told once, after the handshake (never after `start_tls`); `connection_lost` once, last, by the transport
  underneath, and only to a protocol that knows of the connection. `waiter` is set in any case.
* A timer runs while the handshake does, and from `close` to the end. Neither can outlive its time: a peer that is silent, or takes
  nothing any more, is cut off with an error that says so.
* What `write` accepted before `close` is encrypted and sent before our close_notify, and that before the transport underneath is
  closed. Where that fails, `connection_lost` is told why.
* OpenSSL is asked for one thing at a time, on the loop's thread: it gives up the GIL, and calls functions of the program's (names, keys,
  messages), and would not outlive to be called again meanwhile. What is wanted of it then is kept, and done afterwards (`catch_up`).
* Everything but the public methods is called in the transport's context: by the transport underneath, or from the ring. What a turn
  calls that the protocol runs by hand is called in a copy of it.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import protocols
from asyncio.log import logger
from contextvars import Context, copy_context
from typing import Any

from cede.core.scheduler.kernel import Kernel
from cede.net.creation_site import note_origin
from cede.net.tls import options as tls_options
from cede.net.tls.buffers import scratch_of
from cede.net.tls.receiving import TLSReceiving
from cede.net.tls.records import Records
from cede.net.tls.sending import TLSSending

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.net.tls.sending import AGAIN, plain_stream
    from cede.net.tls.state import CLOSING, ENDING, FLUSHING, LOST, MADE, OPEN, SHAKING

STANDARD_OBJECT = ssl.SSLObject


class TLSTransport(TLSReceiving):
    """A connection over TLS, for `protocol`.

    ``isinstance(transport, asyncio.Transport)`` holds, and the methods are those of asyncio's. `sslcontext` is an ``ssl.SSLContext``.
    `waiter`, a future, is set when the handshake is over. `made`: the protocol knows of the connection already, and is told of its end
    alone. The timeouts are in seconds. Whoever makes one makes a `LowerProtocol` for it too, the protocol of the transport underneath.
    """

    _start_tls_compatible = True
    _sendfile_compatible = asyncio.constants._SendfileMode.FALLBACK  # type: ignore[attr-defined]

    def __init__(
        self,
        loop: Kernel,
        protocol: asyncio.BaseProtocol,
        sslcontext: Any,
        waiter: Any = None,
        server_side: bool = False,
        server_hostname: str | None = None,
        handshake_timeout: float | None = None,
        shutdown_timeout: float | None = None,
        made: bool = False,
        context: Context | None = None,
    ) -> None:
        if cython.compiled and self.records is not None:
            raise RuntimeError("the transport is initialized already")
        self.server = None  # which the finalizer looks at, also where the next lines refuse
        self.handshake_seconds = tls_options.handshake_timeout(handshake_timeout)
        self.shutdown_seconds = tls_options.shutdown_timeout(shutdown_timeout)
        self.kernel = loop
        self.context = copy_context() if context is None else context
        self.state = MADE
        self.lower = self.plain = None
        self.server_side = server_side
        self.sslcontext = sslcontext
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.sslobj = sslcontext.wrap_bio(
            self.incoming, self.outgoing, server_side=server_side, server_hostname=None if server_side else server_hostname or None
        )
        self.cipher = self.sslobj
        if type(self.sslobj) is STANDARD_OBJECT:
            self.cipher = getattr(self.sslobj, "_sslobj", self.sslobj)
        self.scratch = scratch_of(loop)
        self.own_memory = None
        self.told = made
        self.eof_told = self.established = False
        self.reading_paused = self.unread = self.scheduled = self.choked = False
        self.peer_done = self.lower_eof = self.lower_paused = self.awaits_peer = self.protocol_paused = False
        self.lost_writes = self.strayed = self.left_at_timer = 0
        self.failure = self.read_error = self.timer = None
        self.waiter = waiter
        self.inside = self.missed = self.flushing = False
        self.late = []
        self.batch = self.batch_view = None
        self.position = self.end = 0
        self.backlog = []
        self.queued = 0
        self.step = self.spent = self.allowance = 0
        self.rested_at = 0.0
        self.sending_later = False
        self.gathered = self.target = None
        self.filled = 0
        self.set_limits(None, None)
        self.set_protocol(protocol)
        self.records = Records()
        if loop._debug and not server_side:
            note_origin(self)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """From now on `protocol` is told. One that has ``get_buffer`` and no ``data_received`` is a buffered one, of whatever class."""
        lends = isinstance(protocol, protocols.BufferedProtocol) or (
            hasattr(protocol, "get_buffer") and not hasattr(protocol, "data_received")
        )
        self.buffered = lends and not getattr(type(protocol), "takes_bytes", False)
        self.protocol = protocol

    def own_context(self) -> Context:
        """What the protocol's methods run in, and those of the transport underneath should."""
        return self.context  # type: ignore[no-any-return]

    def attach_to(self, server: Any) -> int:
        """Be one of the connections of `server`."""
        self.server = server
        server._attach(self)
        return 0

    # -- what a server that holds its peers to a pace asks: the transport underneath counts

    @property
    def bytes_received(self) -> int:
        """Bytes that the transport underneath has received, records and all."""
        return int(getattr(self.lower, "bytes_received", 0))

    def take_written(self) -> bool:
        """Whether something was sent underneath since the last call."""
        return self.lower is not None and bool(self.lower.take_written())

    def progress(self) -> tuple[int, int, int | None]:
        """As MeteredTransport's, of the transport underneath; with what waits to be encrypted."""
        if self.lower is None:
            return 0, 0, None
        left, here, unsent = self.lower.progress()
        return left, here + self.queued, unsent

    # -- the handshake

    def early(self, data: Any) -> int:
        """`data` came before there was anybody to take it: the beginning of what the peer says."""
        self.records.pass_over(bytearray(data), 0, len(data))
        self.incoming.write(data)
        return 0

    def connect(self, lower: Any) -> int:
        """The transport underneath is there."""
        if self.state != MADE:
            lower.abort()
            return 0
        self.lower = lower
        self.plain = plain_stream(lower)
        # After an upgrade it may be full, and then it was the protocol of before that was told; ours is, as a rule, the same.
        self.lower_paused = bool(getattr(lower, "_protocol_paused", False))
        self.protocol_paused = self.lower_paused and self.told
        self.limit_lower()
        self.state = SHAKING
        if self.kernel._debug:
            logger.debug("%r starts SSL handshake", self)
        self.timer = self.kernel.call_later(self.handshake_seconds, self._handshake_timed_out, context=self.context.copy())
        return self.shake()

    def shake(self) -> int:
        try:
            self.enter()
            try:
                self.sslobj.do_handshake()
            finally:
                self.leave()
            if self.state != SHAKING:
                return 0  # ended by what OpenSSL has called
        except AGAIN:
            self.push_out()
        except (KeyboardInterrupt, SystemExit):
            raise
        except ssl.CertificateError as error:
            self.fail(error, "SSL handshake failed on verifying the certificate")
        except BaseException as error:
            self.fail(error, "SSL handshake failed")
        else:
            self.open()
        return 0

    def open(self) -> int:
        """The handshake is done."""
        self.stop_timer()
        self.state = OPEN
        self.established = True
        if self.kernel._debug:
            logger.debug("%r: SSL handshake done", self)
        upgraded = self.told
        if not upgraded:
            self.told = True
            try:
                self.protocol.connection_made(self)
            except (KeyboardInterrupt, SystemExit):
                self.wake_waiter(None)
                self.read_later()
                raise
            except BaseException as error:
                self.report("Exception in callback protocol.connection_made()", error)
        self.wake_waiter(None)
        if self.state == OPEN:
            if self.reading_paused:
                self.lower.pause_reading()
                self.leave_rest()
            elif self.incoming.pending:
                if upgraded:
                    # Nobody has this transport before `start_tls` returns, and what answers the first data wants to write to it.
                    self.read_later()
                else:
                    self.read_rest()
        if self.state == OPEN:
            self.flush()
        if self.state == OPEN:
            self.push_out()  # behind the protocol's first words, to go with them: those that answer the first data too, as on asyncio
            self.pause_if_full()
        return 0

    def wake_waiter(self, error: BaseException | None) -> int:
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            if not waiter.done():
                if error is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(error)
        return 0

    def _handshake_timed_out(self) -> None:
        self.timer = None
        if self.state == SHAKING:
            self.fail(
                ConnectionAbortedError(
                    f"SSL handshake is taking longer than {self.handshake_seconds} seconds: aborting the connection"
                ),
                "SSL handshake timed out",
            )

    def stop_timer(self) -> int:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        return 0

    # -- what the transport underneath says

    def lower_full(self) -> int:
        self.lower_paused = True
        return 0

    def lower_has_room(self) -> int:
        self.lower_paused = False
        if self.state >= ENDING:
            return 0
        self.go_on_sending()
        if self.choked and not self.lower_paused and self.state < ENDING:
            self.choked = False
            if not self.reading_paused or self.state != OPEN:
                self.lower.resume_reading()
        return 0

    def go_on_sending(self) -> int:
        self.push_out()
        if self.state == OPEN:
            self.flush()
        elif self.state == FLUSHING:
            self.finish_flushing()
        return self.resume_if_drained()

    def lower_ended(self) -> int:
        self.lower_eof = True
        if self.inside or self.late:
            self.missed = True
        elif self.state <= SHAKING:
            self.fail(ConnectionResetError("the peer closed the connection during the SSL handshake"), "SSL handshake failed")
        elif self.state == OPEN:
            if self.reading_paused or self.unread:
                return 0  # the protocol gets the rest first
            if self.batch_view is not None:
                return self.read_later()  # told in a turn that the protocol runs by hand: the rest of the batch comes first
            self.peer_ended()
        elif self.state == CLOSING:
            self.part()
        if self.state == ENDING:
            self.lower.close()  # at once, as asyncio's transport underneath does of itself
        return 0

    def lower_lost(self, error: BaseException | None) -> int:
        if self.state == LOST:
            return 0
        self.state = LOST
        self.stop_timer()
        self.backlog = []
        self.queued = 0
        self.gathered = self.target = None
        if self.failure is not None:
            error = self.failure
        protocol = self.protocol
        self.protocol = None
        try:
            if self.told:
                # From the ring, as asyncio's transport does: its protocol hears of the end a turn after the transport underneath.
                self.kernel.call_soon(protocol.connection_lost, error, context=self.context.copy())
        finally:
            self.wake_waiter(error or ConnectionAbortedError("the connection was closed during the SSL handshake"))
            self.failure = None
            server = self.server
            if server is not None:
                self.server = None
                server._detach(self)
        return 0

    # -- the end

    def peer_ended(self) -> int:
        """The peer said goodbye, or its stream ended without (asyncio makes no difference): the protocol is told, and we close too."""
        try:
            self.tell_end()
        finally:
            self.close()
        return 0

    def tell_end(self) -> int:
        """Tell the protocol that the peer sends no more, once; also where it has closed the transport itself, as asyncio does."""
        if self.eof_told:
            return 0
        self.eof_told = True
        try:
            if self.protocol.eof_received():
                logger.warning("returning true from eof_received() has no effect when using ssl")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.fail(error, "Fatal error: protocol.eof_received() call failed.")
        return 0

    def close(self) -> None:
        """Send what was written, say goodbye, then tell the protocol ``connection_lost(None)``. Nothing more is received.

        The peer's goodbye is awaited, for as long as the shutdown timeout allows.
        """
        if self.state >= FLUSHING:
            return
        if self.kernel._debug:
            self.kernel._check_thread()
        if self.state < OPEN:
            self.finish(None)
            return
        if self.is_elsewhere():
            self.kernel.call_soon_threadsafe(self.close)
            return
        self.state = FLUSHING
        self.timer = self.kernel.call_later(self.shutdown_seconds, self._shutdown_timed_out, context=self.context.copy())
        if self.unread and not self.peer_done and self.target is None:
            self.unread = False
            self.drop_rest()
        if (self.reading_paused or self.scheduled) and not self.lower_eof and not self.choked:
            self.lower.resume_reading()  # the peer's goodbye has to be heard
        self.finish_flushing()

    def finish_flushing(self) -> int:
        if self.inside:
            self.missed = True
            return 0
        if self.state == FLUSHING:
            self.flush()
        if self.state == FLUSHING and not self.backlog:
            self.say_goodbye()
        return 0

    def say_goodbye(self) -> int:
        self.state = CLOSING
        if self.lower_eof and not self.peer_done:
            return self.part()  # as asyncio: a peer that was cut off, or has left TLS, may take our goodbye for data
        over = True
        try:
            self.enter()
            try:
                self.sslobj.unwrap()
            finally:
                self.leave()
        except AGAIN:
            over = False
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # What the peer sent last was no goodbye. Nothing depends on it any more, and ours is among what is sent below.
            if self.kernel._debug:
                logger.debug("%r: SSL shutdown failed", self, exc_info=error)
        if self.state != CLOSING:
            return 0
        self.push_last()
        if over or self.peer_done:
            self.part()
        return 0

    def push_last(self) -> int:
        """Send what OpenSSL still has to say, whether there is room or not: it is the end."""
        if self.lower is not None:
            data = self.outgoing.read()
            if data:
                self.lower.write(data)
        return 0

    def part(self) -> int:
        """Nothing more is to be said or heard: the transport underneath sends what it holds, and closes."""
        self.state = ENDING
        self.left_at_timer = self.waiting()
        try:
            if self.told and (self.peer_done or self.lower_eof):
                self.tell_end()
        finally:
            if self.state == ENDING:
                if self.kernel.is_closed():
                    self.lower.close()
                else:
                    self.kernel.call_soon(self.lower.close, context=self.context.copy())
        return 0

    def _shutdown_timed_out(self) -> None:
        self.timer = None
        if self.state == ENDING:
            # All is said, and what the transport underneath still holds is on its way: as long as some of it goes, the peer is there.
            left = self.waiting()
            if left < self.left_at_timer:
                self.left_at_timer = left
                self.timer = self.kernel.call_later(self.shutdown_seconds, self._shutdown_timed_out, context=self.context.copy())
                return
        self.finish(TimeoutError("SSL shutdown timed out"))

    def abort(self) -> None:
        """Close at once; what waits to be sent is lost."""
        self.finish(None)

    def fail(self, error: BaseException, message: str) -> int:
        """Something went wrong for good. Errors of the network and of TLS are told to the protocol alone, others are reported too."""
        if isinstance(error, OSError):
            if self.kernel._debug:
                logger.debug("%r: %s", self, message, exc_info=error)
        else:
            self.report(message, error)
        if self.state < ENDING and not self.lower_paused:
            self.push_last()  # the alert that tells the peer what was wrong
        return self.finish(error)

    def finish(self, error: BaseException | None) -> int:
        """The end, at once."""
        if self.state == LOST:
            return 0
        if self.failure is None:
            self.failure = error
        shaking = self.state < OPEN
        self.state = ENDING
        self.stop_timer()
        self.backlog = []
        self.queued = 0
        if self.lower is not None:
            self.lower.abort()
        if shaking:
            self.wake_waiter(error or ConnectionAbortedError("the connection was closed during the SSL handshake"))
        return 0

    def __del__(self) -> None:
        # Forgotten together with the transport underneath, which gives the descriptor back and says so.
        server = self.server
        if server is not None:
            self.server = None
            server._detach(self)

    # -- what asyncio's own sendfile and TLS call

    def _force_close(self, exc: BaseException | None) -> None:
        self.finish(exc)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        self.fail(exc, message)


def context_of(transport: Any) -> Any:
    """The context that `transport` calls its protocol in, if it is one of ours and keeps one; or None."""
    plain = plain_stream(transport)
    if plain is not None:
        return plain.context
    if type(transport) is TLSTransport:
        tls: TLSSending = transport
        return tls.context
    return None
