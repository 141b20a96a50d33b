# cython: auto_pickle=False
"""The receiving half of a TLS transport: what came is decrypted, and given to the protocol, before the driver goes on.

Invariants
----------
* `incoming` is given one record at a time, and is empty after each, unless the protocol has had enough or a record is not whole.
* What is decrypted reaches the protocol before anything else of the same batch is told: before the end, before an error.
* While `unread` is true, what comes goes behind the rest in `incoming`; the transport underneath is paused then, but for the turn after
  `resume_reading`.
* One event costs at most what `scratch` holds, whatever the peer sends. Of what we have to answer, no more than LARGEST_ANSWER waits
  for a peer that does not listen: nothing more is received from it meanwhile.
* Of the batch that is being read `position` to `end` is not looked at yet; where the protocol runs turns by hand and more comes, both go
  on in order.
* User code may do anything to this transport; after each call of it `halted` looks at the state anew. What was received and not
  looked at is not lost, even where KeyboardInterrupt leaves the loop.
"""

from __future__ import annotations

from ssl import SSLZeroReturnError
from typing import Any

from cede.net.tls.buffers import SIZE
from cede.net.tls.sending import TLSSending

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.net.tls.buffers import head_of
    from cede.net.tls.sending import AGAIN, RECORD
    from cede.net.tls.state import CLOSING, ENDING, FLUSHING, OPEN, SHAKING

    LARGEST_ANSWER = 64 * 1024
    LARGEST_STRAY = 64 * 1024  # how much of what still comes after our close_notify is waited out


class TLSReceiving(TLSSending):
    """Receives and decrypts."""

    def lend(self) -> Any:
        """Memory for the transport underneath to receive into."""
        if not self.scratch.busy:
            return self.scratch.view
        self.own_memory = bytearray(SIZE)
        return memoryview(self.own_memory)

    def arrived(self, count: int) -> int:
        """`count` bytes are in what was lent last."""
        if not 0 <= count <= SIZE:
            raise ValueError(f"buffer_updated(): there is room for {SIZE} bytes, not for {count}")
        scratch = self.scratch
        if self.own_memory is not None:
            memory = self.own_memory
            self.own_memory = None
            return self.take(memory, memoryview(memory), count)
        scratch.busy = True
        try:
            self.take(scratch.memory, scratch.view, count)
        finally:
            scratch.busy = False
        return 0

    def arrived_apart(self, data: Any) -> int:
        """`data` came, from somebody who does not ask for memory."""
        memory = bytearray(data)
        return self.take(memory, memoryview(memory), len(memory))

    def take(self, memory: bytearray, view: Any, count: int) -> int:
        if self.inside or self.late:
            self.late.append(bytes(view[:count]))
            self.missed = True
            return 0
        if self.batch_view is not None:
            return self.take_nested(memory, view, count)
        if self.state == OPEN and not self.reading_paused and not self.unread:
            self.read_records(memory, view, count)
        else:
            if self.state >= ENDING:
                return 0
            self.records.pass_over(memory, 0, count)
            self.incoming.write(view[:count])
            if self.state <= SHAKING:
                self.shake()
            elif self.state == OPEN:
                self.unread = True
            else:
                self.drop_rest()
        if self.awaits_peer:
            self.awaits_peer = False
            self.go_on_sending()
        return self.answer()

    def take_nested(self, memory: bytearray, view: Any, count: int) -> int:
        """The protocol, told of a part of a batch, runs turns by hand, and there is more: it comes after the rest of that batch."""
        if self.state >= ENDING:
            return 0
        self.put_rest_by()
        self.records.pass_over(memory, 0, count)
        self.incoming.write(view[:count])
        if self.state == OPEN:
            if self.reading_paused:
                self.unread = True
            else:
                self.read_rest()
        return self.answer()

    def catch_up(self) -> int:
        if self.late:
            late, self.late = self.late, []
            self.arrived_apart(b"".join(late))
        if self.lower_eof and self.state < ENDING:
            self.lower_ended()
        return self.go_on_sending() if SHAKING <= self.state < ENDING else 0

    def answer(self) -> int:
        """Send what reading has made OpenSSL say."""
        if self.state < ENDING and self.outgoing.pending:
            self.push_out()
            if self.outgoing.pending > LARGEST_ANSWER and not self.choked:
                self.choked = True
                self.lower.pause_reading()
        return 0

    # -- reading

    def read_records(self, memory: bytearray, view: Any, count: int) -> int:
        """Give OpenSSL one record after the other, and the protocol what comes out."""
        self.batch = memory
        self.batch_view = view
        self.position = 0
        self.end = count
        try:
            while self.position < self.end:
                start = self.position
                self.position = self.records.advance(memory, start, self.end)
                self.incoming.write(view[start : self.position])
                if self.records.seen:
                    break
                size = RECORD if self.records.lost else min(self.records.body, RECORD)
                if self.position == self.end and self.target is None and not self.buffered and not self.records.lost:
                    self.read_alone(size)
                elif self.read(size, self.records.lost):
                    break
            self.hand_over()
        except (KeyboardInterrupt, SystemExit):
            self.read_later()
            raise
        except BaseException as error:
            self.fail(error, "Fatal error on SSL protocol")  # memory is short: to go on would leave a gap
        finally:
            self.put_rest_by()
            self.batch = None
            self.batch_view = None
        return self.end_of_batch()

    def put_rest_by(self) -> int:
        """What of the batch was not looked at is behind what OpenSSL has had."""
        start = self.position
        if start < self.end:
            self.position = self.end
            if self.state < ENDING:
                self.records.pass_over(self.batch, start, self.end)
                self.incoming.write(self.batch_view[start : self.end])
                self.unread = True
        return 0

    def read_rest(self) -> int:
        """Give the protocol what `incoming` and OpenSSL hold."""
        self.unread = False
        try:
            self.read(RECORD, True)
            self.hand_over()
        except (KeyboardInterrupt, SystemExit):
            self.read_later()
            raise
        except BaseException as error:
            self.fail(error, "Fatal error on SSL protocol")  # memory is short: to go on would leave a gap
        return self.end_of_batch()

    def read_alone(self, size: int) -> int:
        """Decrypt the only record of a batch, of at most `size` bytes, straight into the object that the protocol gets."""
        data = self.decrypt(size)
        return 0 if data is None else self.tell(data)

    def decrypt(self, size: int) -> Any:
        """Up to `size` bytes of one record; None where there are none, and then `peer_done` and `read_error` may tell why."""
        try:
            self.enter()
            try:
                data = self.cipher.read(size)
            finally:
                self.leave()
        except AGAIN:
            return None
        except SSLZeroReturnError:
            self.peer_done = True
            return None
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.read_error = error
            return None
        if not data:
            self.peer_done = True
            return None
        return data

    def read(self, size: int, to_the_end: bool) -> int:
        """Decrypt a record of at most `size` bytes, or (`to_the_end`) all that there is. True to stop reading.

        It goes into the protocol's own buffer, or into memory of ours for many records at a time. Either stays the target until it is
        full, or the batch ends.
        """
        while True:
            if self.gathered is not None and len(self.target) - self.filled < size:
                self.hand_over()
                if self.halted():
                    return self.leave_rest()
            if self.target is None and not (self.borrow(size) if self.buffered else self.gather()):
                return 1
            room = len(self.target) - self.filled
            count = self.decrypt_into(room)
            if self.target is None:
                return 1  # the connection was lost, in a turn that was run from inside of OpenSSL
            if count == 0:
                return self.peer_done or self.read_error is not None
            self.filled += count
            if count == room:
                self.hand_over()
                if self.halted():
                    return self.leave_rest()
            if not to_the_end and (count < room or not self.cipher.pending()):
                return 0

    def gather(self) -> bool:
        """Take memory for many records. True."""
        self.gathered = self.scratch.take_clear()
        self.target = memoryview(self.gathered)
        self.filled = 0
        return True

    def borrow(self, size: int) -> bool:
        """Ask the protocol for a buffer. False to stop reading."""
        protocol = self.protocol
        try:
            buffer = protocol.get_buffer(size)
            target = memoryview(buffer)
            if not target.nbytes:
                raise RuntimeError("get_buffer() returned an empty buffer")
            self.target = target if target.format == "B" and target.ndim == 1 else target.cast("B")
            self.filled = 0
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.fail(error, "Fatal error: protocol.get_buffer() call failed.")
            return False
        if self.halted() or self.protocol is not protocol:
            self.target = None
            self.unread = True
            if not self.halted():
                self.read_later()  # to ask the one that it has handed over to
            return False
        return True

    def decrypt_into(self, room: int) -> int:
        """As `decrypt`, to the end of what is filled of the target; the number of bytes, 0 for None."""
        try:
            self.enter()
            try:
                if self.filled:
                    with self.target[self.filled :] as rest:
                        count = self.cipher.read(room, rest)
                else:
                    count = self.cipher.read(room, self.target)
            finally:
                self.leave()
        except AGAIN:
            return 0
        except SSLZeroReturnError:
            self.peer_done = True
            return 0
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.read_error = error
            return 0
        if not count:
            self.peer_done = True
        return count  # type: ignore[no-any-return]

    def hand_over(self) -> int:
        """Tell the protocol of what was decrypted."""
        target = self.target
        if target is None:
            return 0
        self.target = None
        target.release()  # before any user code: it may want to resize what it lent us
        memory = self.gathered
        if memory is not None:
            self.gathered = None
            data = head_of(memory, self.filled)
            self.scratch.clear = memory
            return self.tell(data) if data else 0
        if not self.filled or self.state >= ENDING:
            return 0
        try:
            self.protocol.buffer_updated(self.filled)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.fail(error, "Fatal error: protocol.buffer_updated() call failed.")
        return 0

    def tell(self, data: bytes) -> int:
        """Call the protocol with what was decrypted."""
        if self.state >= ENDING:
            return 0  # ended meanwhile: by another thread, or by what OpenSSL has called
        try:
            self.protocol.data_received(data)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.fail(error, "Fatal error: protocol.data_received() call failed.")
        return 0

    def halted(self) -> bool:
        """Whether the protocol wants no more for now, or for ever."""
        return self.reading_paused or self.state != OPEN

    def leave_rest(self) -> bool:
        """Reading stops in the middle. True."""
        if self.incoming.pending or self.cipher.pending():
            self.unread = True
        return True

    def end_of_batch(self) -> int:
        """After the data: the end that the peer told, or the error that OpenSSL found."""
        error = self.read_error
        if error is not None:
            self.read_error = None
            if self.state < ENDING:
                self.fail(error, "Fatal error on SSL protocol")
        elif self.state == OPEN:
            if self.peer_done:
                self.peer_ended()
        elif self.state < ENDING:
            self.drop_rest()
        return 0

    def drop_rest(self) -> int:
        """We are closing: look for the peer's close_notify, and drop what comes before it."""
        while self.state < ENDING:
            data = self.decrypt(RECORD)
            if data is None:
                break
            self.strayed += len(data)
        error = self.read_error
        self.read_error = None
        if self.state == CLOSING:
            # Garbage, or more than was under way when the peer cannot have known yet: no reason to stay.
            if self.peer_done or error is not None or self.strayed > LARGEST_STRAY:
                self.part()
        elif error is not None:
            self.fail(error, "Fatal error on SSL protocol")
        return 0

    # -- pausing

    def pause_reading(self) -> None:
        """Pass no data to the protocol until `resume_reading`. Does nothing where that is so already."""
        if self.state >= FLUSHING or self.reading_paused:
            return
        self.reading_paused = True
        if self.state == OPEN:
            self.lower.pause_reading()

    def resume_reading(self) -> None:
        """Pass data to the protocol again. Does nothing where that is so already, or the transport closes."""
        if self.state >= FLUSHING or not self.reading_paused:
            return
        self.reading_paused = False
        if self.state == OPEN:
            # The protocol is told from the ring: what was scheduled before comes before data that waits in the socket.
            nothing_left = not self.unread and not self.lower_eof
            self.read_later()
            if nothing_left and not self.choked:
                self.lower.resume_reading()

    def read_later(self) -> int:
        """Go on from the ring: whoever resumes may be in the middle of anything."""
        self.unread = True
        if not self.scheduled and not self.kernel.is_closed():
            self.scheduled = True
            self.kernel.call_soon(self._in_context, self._read_on)
        return 0

    def _read_on(self) -> None:
        self.scheduled = False
        if self.state != OPEN or self.reading_paused:
            return
        if self.inside:
            self.read_later()
            return
        self.read_rest()
        if self.state == OPEN and not self.reading_paused:
            if self.awaits_peer:
                self.awaits_peer = False
                self.go_on_sending()
            if self.lower_eof:
                self.lower_ended()
            elif not self.choked:
                self.lower.resume_reading()
        self.answer()

    # -- what the whole transport does

    def shake(self) -> int:
        """Go on with the handshake."""
        raise NotImplementedError

    def peer_ended(self) -> int:
        """The peer sends no more."""
        raise NotImplementedError

    def lower_ended(self) -> int:
        """The stream underneath has come to its end."""
        raise NotImplementedError

    def part(self) -> int:
        """Nothing more is to be said or heard."""
        raise NotImplementedError
