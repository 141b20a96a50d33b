# cython: auto_pickle=False
"""The sending half of a TLS transport: data is encrypted and sent inside of `write`.

Invariants
----------
* Order: what is in `backlog` (plain, `queued` bytes of it) was written before what `write` is given now; what is in `outgoing` (encrypted)
  goes before anything that is encrypted later. Nothing overtakes.
* Data is encrypted one record at a time, and taken out of `outgoing` at once, so that OpenSSL's buffer does not grow beyond a record.
* While the transport underneath is paused nothing is encrypted: what waits is kept as it was given, by reference where it cannot change.
* A step of the program that writes and writes sends AT_ONCE bytes, or up to a record more; the rest goes from the ring, as much a turn as a
  fast network takes meanwhile. So the others get their turn, and what is under way to a peer that keeps up is not pushed out of the
  processor's caches before it is received: that takes as long as encrypting it.
* `get_write_buffer_size`, and so the watermarks, count what waits on both floors.
"""

from __future__ import annotations

from asyncio import constants
from asyncio.log import logger
from ssl import SSLWantReadError, SSLWantWriteError
from typing import Any

from cede.core import stdlib
from cede.net.flow_control import FlowControl
from cede.net.stream.transport import StreamTransport
from cede.net.tls.state import TLSState

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import call_in, is_this_thread
    from cede.net.tls.state import ENDING, FLUSHING, LOST, OPEN
    from cede.net.write_buffer import checked

    RECORD = 16384  # what a record holds at most
    TOGETHER = 4  # full records that are sent with one system call
    AT_ONCE = 64 * 1024  # bytes that one step of the program sends; the rest goes in the turns that follow
    AT_MOST = 1024 * 1024  # bytes that one of those turns sends

# Bytes a second that those turns send at least, as far as AT_MOST allows, however long they take.
PACE = 1e9

AGAIN = (SSLWantReadError, SSLWantWriteError)

HIGH_WATER = constants.FLOW_CONTROL_HIGH_WATER_SSL_WRITE * 1024

# The watermarks of the transport underneath, unless ours are lower: it need hold no more than what keeps the system busy.
LOWER_HIGH = 64 * 1024
LOWER_LOW = 16 * 1024

WARN_AFTER_WRITES = constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES


class TLSSending(TLSState):
    """Encrypts and sends."""

    def write(self, data: Any) -> None:
        """Encrypt and send `data`, at once as far as the system takes it, the rest when there is room.

        Raises TypeError for what is no bytes-like object. After the connection was lost, or closed, data is dropped, as asyncio does.
        """
        if type(data) is not bytes:
            data = checked(data, "data argument")
        if self.kernel._debug:
            self.kernel._check_thread()
        if len(data) and self.accept(data, len(data)):
            self.pause_if_full()

    def writelines(self, list_of_data: Any) -> None:
        """Send several pieces of data, as `write` would one after the other, small ones together in a record.

        Raises TypeError for an item that is no bytes-like object, before anything is sent.
        """
        pieces = [piece if type(piece) is bytes else checked(piece, "items of list_of_data") for piece in list_of_data]
        if self.kernel._debug:
            self.kernel._check_thread()
        group: list[Any] = []
        size = 0
        for piece in pieces:
            if group and size + len(piece) > TOGETHER * RECORD:
                self.accept(joined(group), size)
                group = []
                size = 0
            group.append(piece)
            size += len(piece)
        if size:
            self.accept(joined(group), size)
            self.pause_if_full()

    def accept(self, data: Any, size: int) -> int:
        """Send, or keep, `data`, which is not empty. False where there is nobody any more to send it to."""
        if self.state > OPEN or (self.plain is not None and self.plain.lost):
            if self.lost_writes >= WARN_AFTER_WRITES:
                logger.warning("SSL connection is closed")
            self.lost_writes += 1
            return 0
        taken = 0
        if self.inside or self.is_elsewhere():
            return self.write_later(data)
        if self.state == OPEN and not self.backlog and not self.lower_paused and not self.awaits_peer and self.may_send():
            taken = self.send(data, size)
        if taken < size and self.state <= OPEN:
            self.keep(data, taken)
        return 1

    def keep(self, data: Any, taken: int) -> int:
        """Have ``data[taken:]`` wait."""
        if type(data) is bytes:
            kept: Any = memoryview(data)[taken:] if taken else data
        else:
            kept = bytes(memoryview(data)[taken:])
        self.backlog.append(kept)
        self.queued += len(kept)
        return 0

    def seal(self, piece: Any) -> int:
        """Encrypt the first record of `piece`: how many bytes went into it; 0 where that cannot be now, or any more."""
        try:
            self.enter()
            try:
                return self.cipher.write(piece)  # type: ignore[no-any-return]
            finally:
                self.leave()
        except AGAIN:
            self.awaits_peer = True
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.fail(error, "Fatal error on SSL protocol")
        return 0

    def enter(self) -> int:
        """OpenSSL is called next. Whoever comes here has seen that it is not at work."""
        if self.inside:
            raise RuntimeError("a TLS connection was used by what its own OpenSSL object has called")
        self.inside = True
        return 0

    def leave(self) -> int:
        self.inside = False
        if self.missed:
            self.missed = False
            if not self.kernel.is_closed():
                self.kernel.call_soon(self._in_context, self._catch_up)
        return 0

    def is_elsewhere(self) -> bool:
        """Whether the loop runs, and on another thread: a finalizer of the program's, say, which the collector runs anywhere."""
        return self.kernel._thread_id is not None and not is_this_thread(self.kernel._thread_id)

    def write_later(self, data: Any) -> int:
        """`data` is written by the loop's own thread when OpenSSL is free: not now, in the middle of something else. False."""
        if not self.kernel.is_closed():
            self.kernel.call_soon_threadsafe(self.write, data if type(data) is bytes else bytes(data), context=self.context.copy())
        return 0

    def _in_context(self, method: Any) -> None:
        """From the ring, where the transport's context may be entered: by a method of the protocol that runs this turn by hand."""
        call_in(self.context, method, ())

    def _catch_up(self) -> None:
        """Do what could not be done when it was wanted."""
        if self.inside:
            self.missed = True
        elif self.state < LOST:
            self.catch_up()

    def catch_up(self) -> int:
        """Take what came, and send what was written, while OpenSSL was at work."""
        raise NotImplementedError

    def send(self, data: Any, size: int) -> int:
        """Encrypt `data` and send it, until the transport underneath is full; how many bytes were taken."""
        taken = 0
        if size <= RECORD:
            taken = self.seal(data)
            if taken and self.state < ENDING:
                self.spent += taken
                self.lower.write(self.outgoing.read())
            if taken in (0, size):
                return taken
        view = memoryview(data)
        while taken < size and not self.lower_paused and self.may_send():
            pieces: list[Any] = []
            while taken < size and len(pieces) < TOGETHER:
                sealed = self.seal(view[taken : taken + RECORD])
                if not sealed:
                    break
                taken += sealed
                self.spent += sealed
                pieces.append(self.outgoing.read())
            if self.state >= ENDING:
                return taken
            if pieces:
                self.lower.writelines(pieces)
            if not sealed:
                break
        return taken

    def may_send(self) -> bool:
        """Whether this step of the program has not sent enough. Where it has, the rest goes by itself, from the next turn on."""
        if self.step != self.kernel.steps:
            self.step = self.kernel.steps
            self.spent = 0
            self.allowance = AT_ONCE
        elif self.spent >= self.allowance:
            if not self.sending_later and not self.kernel.is_closed():
                self.sending_later = True
                self.rested_at = self.kernel.now()
                self.kernel.call_soon(self._in_context, self._send_on)
            return False
        return True

    def _send_on(self) -> None:
        self.sending_later = False
        if self.inside:
            self.missed = True
            return
        self.step = self.kernel.steps
        self.spent = 0
        self.allowance = int(max(AT_ONCE, min(AT_MOST, (self.kernel.now() - self.rested_at) * PACE)))
        if not self.lower_paused and OPEN <= self.state <= FLUSHING:
            self.go_on_sending()

    def push_out(self) -> int:
        """Send what OpenSSL has to say of its own: the handshake, answers, alerts."""
        if self.outgoing.pending and not self.lower_paused and self.state < LOST:
            self.lower.write(self.outgoing.read())
        return 0

    def flush(self) -> int:
        """Send from the backlog, as far as there is room."""
        if self.lower_paused or self.awaits_peer or not self.backlog or not OPEN <= self.state <= FLUSHING:
            return 0
        if self.inside:
            self.missed = True
        elif not self.flushing:  # not by what the transport underneath calls while it is given something: who began goes on
            self.flushing = True
            try:
                self.flush_some(self.backlog)
            finally:
                self.flushing = False
        return 0

    def flush_some(self, backlog: list[Any]) -> int:
        """Send from `backlog`, which stays ours until somebody ends the connection and puts another in its place."""
        done = taken = 0
        pieces: list[Any] = []
        while done < len(backlog) and self.may_send():
            if taken == 0:
                self.join_small(backlog, done)
            data = backlog[done]
            size = len(data)
            sealed = self.seal(memoryview(data)[taken : taken + RECORD] if taken or size > RECORD else data)
            if self.backlog is not backlog:
                return 0
            if not sealed:
                break
            pieces.append(self.outgoing.read())
            self.queued -= sealed
            self.spent += sealed
            taken += sealed
            if taken == size:
                done += 1
                taken = 0
            if len(pieces) == TOGETHER:
                self.lower.writelines(pieces)
                if self.backlog is not backlog:
                    return 0
                pieces = []
                if self.lower_paused:
                    break
        if taken:
            backlog[done] = memoryview(backlog[done])[taken:]
        del backlog[:done]
        if pieces:
            self.lower.writelines(pieces)
        return 0

    def join_small(self, backlog: list[Any], index: int) -> int:
        """Make one of the small pieces from `index` on that fit in a record together."""
        count = 1
        size = len(backlog[index])
        while size < RECORD and index + count < len(backlog) and size + len(backlog[index + count]) <= RECORD:
            size += len(backlog[index + count])
            count += 1
        if count > 1:
            backlog[index : index + count] = [b"".join(backlog[index : index + count])]
        return 0

    def go_on_sending(self) -> int:
        """There may be room, or OpenSSL may be ready, for what waits."""
        raise NotImplementedError

    def fail(self, error: BaseException, message: str) -> int:
        """Something went wrong for good."""
        raise NotImplementedError

    def let_out(self) -> int:
        """Somebody drains: what the transport underneath holds until the end of the step is sent."""
        if isinstance(self.lower, FlowControl):
            flow = self.lower
            flow.let_out()
        return 0

    def is_closing(self) -> bool:
        """Whether the transport is closed, or about to be, or the one underneath is; and as BurstState's."""
        if isinstance(self.protocol, stdlib.FlowControlMixin):
            self.let_out()
        if self.state >= FLUSHING or self.lower is None:
            return self.state >= FLUSHING
        return self.plain.closing if self.plain is not None else self.lower.is_closing()

    # -- flow control

    def waiting(self) -> int:
        """Bytes that wait, on both floors."""
        if self.plain is not None:
            return self.queued + self.plain.queued
        return self.queued if self.lower is None else self.queued + self.lower.get_write_buffer_size()

    def get_write_buffer_size(self) -> int:
        """Bytes that were accepted by `write` and that the system has not taken yet."""
        if self.plain is not None:
            self.plain.get_write_buffer_size()  # what it holds until the end of the step goes out first
        return self.waiting()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the watermarks, in bytes: 512 KiB by default, and a quarter of `high` for `low`.

        Raises ValueError unless ``high >= low >= 0``.
        """
        self.set_limits(high, low)
        self.limit_lower()
        if self.protocol is not None:
            self.pause_if_full()

    def set_limits(self, high: int | None, low: int | None) -> int:
        return TLSState.set_limits(self, HIGH_WATER if high is None and low is None else high, low)

    def limit_lower(self) -> int:
        """Have the transport underneath tell us in time. It speaks up only after it was paused: what it may hold without that must not
        lie above our low-water mark, or nobody would notice when it has gone.
        """
        if self.plain is not None and self.plain.high == LOWER_HIGH <= self.low and self.plain.low == LOWER_LOW:
            return 0
        if self.plain is not None or isinstance(self.lower, TLSSending):
            self.lower.set_write_buffer_limits(high=min(self.low, LOWER_HIGH), low=min(self.low, LOWER_LOW))
        return 0

    def pause_if_full(self) -> int:
        if not self.protocol_paused and self.told and self.waiting() > self.high:
            self.protocol_paused = True
            try:
                self.protocol.pause_writing()
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                self.report("protocol.pause_writing() failed", error)
        return 0

    def resume_if_drained(self) -> int:
        """Called in the transport's context."""
        if self.protocol_paused and self.state < ENDING and self.waiting() <= self.low:
            self.protocol_paused = False
            try:
                self.protocol.resume_writing()
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                self.report("protocol.resume_writing() failed", error)
        return 0

    # -- what CPython's own test suite calls

    def _test__append_write_backlog(self, data: bytes) -> None:
        self.keep(data, 0)


def joined(pieces: list[Any]) -> Any:
    """The pieces in one, without a copy where there is only one."""
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def plain_stream(transport: Any) -> Any:
    """`transport` if it is one of ours over a socket, or None."""
    return transport if type(transport) is StreamTransport else None
