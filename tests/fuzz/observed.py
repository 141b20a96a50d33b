"""The model: what a transport may do to its protocol, watched from both ends.

A `Line` is one transport as its protocols see it, whichever of them is in charge at the moment. Each callback is checked when it comes;
what can only be known when all is over is checked by `verdict`. What is wrong is collected, never raised: it would be caught by the loop.

Every line sends bytes of its own pattern, so a byte that was lost, doubled or delivered to somebody else is seen where it happens.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

# A prime period, so that no round number of bytes fits.
PERIOD = 4093
PATTERN = random.Random(4).randbytes(PERIOD) * 260
LARGEST = PERIOD * 258


# What asyncio does otherwise than its own documentation has it; cede is held to all of it. (on TLS alone, what is said of it)
ASYNCIO_MAY = [
    (False, "eof_received twice"),  # paused and resumed after the end, its transports read the end again
    (False, "raised AttributeError(\"'NoneType'"),  # closed, they stumble over what they have let go of
    (False, "after close()"),  # from inside of get_buffer; and its TLS layer goes on reading until the peer's close_notify
]


class Planned(Exception):
    """Raised by a protocol on purpose."""


class Line:
    """One transport, and what happened to it."""

    def __init__(self, stage: Any, name: str, quirks: dict[str, tuple[int, str]], *, sends: bool = True, receives: bool = True) -> None:
        self.stage = stage
        self.name = name
        self.quirks = quirks
        self.counts: dict[str, int] = {}
        self.sends, self.receives = sends, receives
        self.log: list[str] = []
        self.acts: set[str] = set()
        self.transport: Any = None
        self.protocol: Any = None
        self.peer: Line | None = None
        self.tls = False
        self.shift = sum(name.encode()) * 131 % PERIOD
        self.written = 0  # bytes that `write` took
        self.promised = 0  # of these, before the transport was closing: they arrive unless something is said
        self.received = 0
        self.made = self.eof = self.lost = self.closed = self.aborted = False
        self.reading_paused = self.writing_paused = False
        self.upgrading = self.upgrade_failed = False
        self.sending_file = False
        self.accepted = self.dialled = False  # came through a server, or dialled one
        self.error: BaseException | None = None
        stage.lines.append(self)

    def wrong(self, what: str) -> None:
        if not self.stage.ours and any(self.tls >= tls and sentence in what for tls, sentence in ASYNCIO_MAY):
            return
        self.stage.wrong(f"{self.name}: {what} (so far: {' '.join(self.log[-12:])})")

    def note(self, protocol: Any, what: str) -> None:
        if not self.log or self.log[-1] != what:
            self.log.append(what)
        if self.lost:
            self.wrong(f"{what} after connection_lost")
        if protocol is not self.protocol:
            self.wrong(f"{what} told to a protocol that was replaced")
        if what != "made" and not self.made:
            self.wrong(f"{what} before connection_made")

    # -- what the protocol is told

    def connection_made(self, transport: Any) -> None:
        if self.made:
            self.wrong("connection_made twice")
        self.made = True
        self.transport = transport
        if self.dialled or self.accepted:
            self.stage.introduce(self, transport.get_extra_info("sockname" if self.dialled else "peername"), self.dialled)

    def incoming(self, data: Any) -> None:
        if not data:
            self.wrong("an empty message")
        if self.eof:
            self.wrong("data after the end of the stream")
        if self.closed:
            self.wrong("data after close()")
        if self.reading_paused:
            self.wrong("data while reading is paused")
        if self.peer is None:
            self.wrong("data from nobody")
            return
        place = (self.peer.shift + self.received) % PERIOD
        if bytes(data) != PATTERN[place : place + len(data)]:
            self.wrong(f"other data than was sent, within {len(data)} bytes behind byte {self.received}")
        self.received += len(data)
        if self.received > self.peer.written:
            self.wrong(f"{self.received} bytes received of {self.peer.written} sent")

    def ended(self) -> None:
        if self.eof:
            self.wrong("eof_received twice")
        self.eof = True
        if self.closed and not self.tls:  # TLS tells that the peer has answered the close, as asyncio's does
            self.wrong("eof_received after close()")

    def pause_writing(self) -> None:
        if self.writing_paused:
            self.wrong("pause_writing twice")
        self.writing_paused = True

    def resume_writing(self) -> None:
        if not self.writing_paused:
            self.wrong("resume_writing without pause_writing")
        self.writing_paused = False

    def connection_lost(self, error: BaseException | None) -> None:
        self.lost = True
        self.error = error
        if error is not None and not isinstance(error, (OSError, Planned, EOFError)):
            if not isinstance(error, RuntimeError) or "empty buffer" not in str(error):
                self.wrong(f"lost with {error!r}")
        if self.transport is not None and not self.transport.is_closing():
            self.wrong("connection_lost of a transport that is not closing")

    # -- what a protocol, or the program, does

    def act(self, what: str, size: int = 0) -> None:
        """Call the transport's method, and note what it promised."""
        transport = self.transport
        if transport is None or self.upgrading:
            return
        if self.sending_file and what in ("write", "writelines", "eof", "swap"):
            return  # the file has the stream to itself
        if self in self.stage.datagrams:
            self.stage.act_on_datagrams(self, what, size)
            return
        self.acts.add(what)
        try:
            if what in ("write", "writelines"):
                self.write(size, what == "writelines")
            elif what == "eof":
                if self.sends:
                    can = transport.can_write_eof()
                    try:
                        transport.write_eof()
                    except NotImplementedError:
                        if can:
                            self.wrong("write_eof is not implemented, and can_write_eof says it is")
            elif what == "pause":
                if self.receives:
                    transport.pause_reading()
                    self.reading_paused = self.reading_paused or not transport.is_closing()
                    if transport.is_reading():
                        self.wrong("reads after pause_reading()")
            elif what == "resume":
                if self.receives:
                    self.reading_paused = False
                    transport.resume_reading()
            elif what == "close":
                self.closed = True
                transport.close()
            elif what == "abort":
                self.closed = self.aborted = True
                (transport.abort if self.sends else transport.close)()  # read pipes know no abort
            elif what == "limits":
                if self.sends:
                    transport.set_write_buffer_limits(high=size, low=size // 2)
            elif what == "swap":
                self.put_in_charge(size)
            elif what == "ask":
                self.ask()
            if what in ("close", "abort") and not transport.is_closing():
                self.wrong(f"not closing after {what}()")
        except Exception as error:
            self.wrong(f"{what} raised {error!r}")

    def write(self, size: int, pieces: bool) -> None:
        if not self.sends or self.written > 50_000_000:
            return
        size = min(size, LARGEST)
        transport = self.transport
        place = (self.shift + self.written) % PERIOD
        data = PATTERN[place : place + size]
        closing, before = transport.is_closing(), self.written
        self.written += size  # the peer may be told before write returns
        try:
            if pieces:
                third = size // 3
                transport.writelines([data[:third], bytearray(data[third : 2 * third]), b"", memoryview(data)[2 * third :]])
            else:
                transport.write(bytearray(data) if size % 2 else data)
        except RuntimeError as error:
            if "write_eof" not in str(error) and "Cannot call write() after" not in str(error):
                raise
            self.written = before
            return
        if not closing:
            self.promised = self.written

    def put_in_charge(self, kind: int) -> None:
        """Another protocol from now on, plain or buffered."""
        if self.receives:
            self.protocol = make_protocol(self, kind if self.sends else 0)  # pipes know no buffered ones
            self.transport.set_protocol(self.protocol)
            if self.transport.get_protocol() is not self.protocol and not self.lost:
                self.wrong("get_protocol() is not what set_protocol() set")

    def ask(self) -> None:
        transport = self.transport
        for name in ("socket", "sockname", "peername", "pipe", "sslcontext", "ssl_object", "no such thing"):
            transport.get_extra_info(name)
        repr(transport)
        if self.sends:
            if transport.get_write_buffer_size() < 0:
                self.wrong("a negative buffer size")
            low, high = transport.get_write_buffer_limits()
            if not 0 <= low <= high:
                self.wrong(f"limits {low}, {high}")

    def quirk(self, place: str) -> None:
        """What this line's protocol does, beside noting, in the callback `place`: once, at the call that was chosen."""
        self.counts[place] = count = self.counts.get(place, 0) + 1
        if self.quirks.get(place, (0, ""))[0] != count or self.stage.calm:
            return
        what = self.quirks[place][1]
        if place == "buffer" and what == "swap" and not self.stage.ours:
            return  # asyncio tells the new protocol what it put into the old one's buffer
        if what == "raise":
            raise Planned(f"{self.name} {place}")
        if what.startswith("peer "):
            if self.peer is not None:
                self.peer.act(what[5:], 70_000)
        else:
            self.act(what, 70_000)

    # -- the end

    def stuck(self) -> bool:
        """Whether the line waits, with reason, for a peer that takes nothing any more."""
        peer = self.peer
        if self.transport is None or not self.sends:
            return False
        return peer is not None and not peer.lost and peer.closed and self.transport.get_write_buffer_size() > 0

    def verdict(self) -> None:
        if not self.made:
            return
        if not self.lost and not self.upgrade_failed:
            self.wrong("never lost")
        peer = self.peer
        if peer is None:
            if self.received:
                self.wrong("received from nobody")
            return
        # An end of the stream that the sender meant: all that it had promised must be here.
        meant = not peer.aborted and peer.error is None and not peer.upgrade_failed
        if self.eof and meant and self.received < peer.promised:
            self.wrong(f"the stream ended cleanly after {self.received} of {peer.promised} bytes")


class Watched:
    """The callbacks that every protocol has."""

    def __init__(self, line: Line) -> None:
        self.line = line

    def connection_made(self, transport: Any) -> None:
        self.line.note(self, "made")
        self.line.connection_made(transport)
        self.line.quirk("made")

    def connection_lost(self, error: BaseException | None) -> None:
        self.line.note(self, "lost")
        self.line.connection_lost(error)
        self.line.quirk("lost")

    def pause_writing(self) -> None:
        self.line.note(self, "full")
        self.line.pause_writing()
        self.line.quirk("full")

    def resume_writing(self) -> None:
        self.line.note(self, "room")
        self.line.resume_writing()
        self.line.quirk("room")

    def eof_received(self) -> bool:
        self.line.note(self, "eof")
        self.line.ended()
        self.line.quirk("eof")
        return bool(self.line.quirks.get("keep"))


class Plain(Watched, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        self.line.note(self, "data")
        if type(data) is not bytes:
            self.line.wrong(f"data_received({type(data).__name__})")
        self.line.incoming(data)
        self.line.quirk("data")


class Buffered(Watched, asyncio.BufferedProtocol):
    """Receives into memory of its own, which is much smaller than what arrives, or larger.

    Some thousand times one byte are enough: a million would show nothing more, and take a hundred times as long as another program.
    """

    def __init__(self, line: Line, size: int) -> None:
        super().__init__(line)
        self.memory = bytearray(size)
        self.asked = 0

    def get_buffer(self, sizehint: int) -> memoryview:
        self.asked += 1
        if self.asked == 3000 and len(self.memory) < 4096:
            self.memory = bytearray(4096)
        self.line.note(self, "buffer")
        self.line.quirk("buffer")
        return memoryview(self.memory)

    def buffer_updated(self, count: int) -> None:
        self.line.note(self, "data")
        if not 0 < count <= len(self.memory):
            self.line.wrong(f"buffer_updated({count}) of {len(self.memory)}")
        self.line.incoming(self.memory[:count])
        self.line.quirk("data")


def make_protocol(line: Line, kind: int) -> Any:
    """0: plain, otherwise buffered with that many bytes."""
    return Buffered(line, kind) if kind else Plain(line)


class Datagrams(asyncio.DatagramProtocol):
    """One end of a datagram socket: what comes in was sent, whole, once and (on one machine) in order."""

    def __init__(self, line: Line) -> None:
        self.line = line

    def connection_made(self, transport: Any) -> None:
        self.line.note(self, "made")
        self.line.connection_made(transport)
        self.line.quirk("made")

    def datagram_received(self, data: bytes, address: Any) -> None:
        line = self.line
        line.note(self, "data")
        if line.closed:
            line.wrong("a datagram after close()")
        if line.peer is None:
            line.wrong("a datagram from nobody")
        else:
            sent = line.peer.stage.datagrams[line.peer]
            try:
                line.received = sent.index(data, line.received) + 1
            except ValueError:
                line.wrong(f"a datagram of {len(data)} bytes that was not sent after the one before")
        line.quirk("data")

    def error_received(self, error: BaseException) -> None:
        self.line.note(self, "error")
        if not isinstance(error, OSError):
            self.line.wrong(f"error_received({error!r})")
        self.line.quirk("error")

    pause_writing = Watched.pause_writing
    resume_writing = Watched.resume_writing
    connection_lost = Watched.connection_lost
