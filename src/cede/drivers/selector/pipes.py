"""The ends of pipes, FIFOs, terminals and other devices, through `os.read` and `os.write`.

A pipe is a stream that goes one way. What is special about it:

* The writing end learns when nobody reads any more. The system reports that by the event that also reports data to a reader. If the
  descriptor can be read from too (a socket, a FIFO opened both ways), the event may mean either, so the driver asks the system.
* The system refuses to wait on some devices, such as /dev/null, which are always ready. The driver serves them once in each turn.
"""

from __future__ import annotations

import errno
import os
import select
from typing import Any

from cede.drivers.contract import Sink, Stream
from cede.drivers.portions import MOST_AT_ONCE, first_of
from cede.drivers.readiness import ReadinessDriver

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.drivers.constants import READ, WRITE
    from cede.drivers.readiness import number_of

RECEIVE_SIZE = 256 * 1024

WOULD_BLOCK = (BlockingIOError, InterruptedError)


class PipeStream(Stream):
    """One end of a pipe, over the descriptor of a file object."""

    def __init__(self, driver: ReadinessDriver, pipe: Any, sink: Sink, reading: bool) -> None:
        self.driver = driver
        self.sock = pipe
        self.sink = sink
        self.reading = reading
        self.fd = number_of(pipe)
        self.wanted = 0
        self.armed = 0
        self.edge = False
        self.generation = 0
        self.closed = False
        self.resting = None
        self.always_ready = False
        self.scheduled = False

    # -- interest

    def resume(self) -> int:
        return self.ask(self.wanted | READ)

    def pause(self) -> int:
        return self.ask(self.wanted & ~READ)

    def want_writable(self, on: bool) -> int:
        if on:
            return self.ask(self.wanted | WRITE)
        if self.wanted & WRITE:
            self.ask(self.wanted & ~WRITE)
            if not self.closed and not self.always_ready:
                # There nearly always is room: a registration left armed would fire at once, and again in each turn.
                self.driver.apply_interest(self)
        return 0

    def ask(self, mask: int) -> int:
        if self.closed:
            return 0
        if not self.always_ready:
            try:
                return self.driver.set_interest(self, mask)
            except PermissionError:
                self.driver.set_interest(self, 0)
                self.always_ready = True
        self.wanted = mask
        if not mask:
            return self.let_sink_go()
        self.hold_sink()
        if not self.scheduled and (self.reading or mask & WRITE):
            self.scheduled = True
            self.driver.kernel.call_soon(self.take_turn)
        return 0

    def take_turn(self) -> None:
        """Stands for an event, for a device that is always ready."""
        self.scheduled = False
        if self.wanted:
            try:
                self.fire(READ | WRITE if self.reading else WRITE)
            finally:
                self.ask(self.wanted)

    # -- events

    def fire(self, events: int) -> int:
        due = events & self.wanted
        if not due:
            return self.driver.apply_interest(self)
        sink = self.sink
        if due & READ:
            if self.reading:
                self.receive(sink)
            elif self.is_deserted():
                self.pause()
                sink.eof()
            else:
                self.pause()  # a writing end that is readable: the event would be reported for ever
        if due & self.wanted & WRITE:
            sink.writable()
        return 0

    def check(self) -> int:
        """Raise EBADF if somebody has closed the pipe behind the driver's back."""
        if self.closed or number_of(self.sock) != self.fd:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return 0

    def is_deserted(self) -> bool:
        """Whether the pipe has no reader any more."""
        if not hasattr(select, "poll"):
            return True
        poll = select.poll()
        hangups = select.POLLERR | select.POLLHUP | getattr(select, "POLLRDHUP", 0)
        poll.register(self.fd, hangups)
        return any(events & hangups for _, events in poll.poll(0))

    # -- data

    def receive(self, sink: Sink) -> int:
        if self.driver.kernel._announced_task is not None:
            self.driver.kernel.enter_callback()  # before anything is received: up to Python 3.11 this may run user code
        if number_of(self.sock) != self.fd:
            return 0 if self.closed else self.driver.drop_stale(self)
        if not self.wanted & READ:
            return 0  # the file's `fileno` is user code, which may have paused the pipe
        try:
            data = os.read(self.fd, RECEIVE_SIZE)
        except WOULD_BLOCK:
            return 0
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return sink.read_failed(error)
        self.driver.acted = True  # there may be more data, or the end
        return self.tell(sink, data)

    def tell(self, sink: Sink, data: bytes) -> int:
        if data:
            if self.driver.writing:
                self.driver.acted = True  # a writer on this loop has room again
            return sink.received(data)
        self.pause()
        return sink.eof()

    def write(self, data: Any, start: int) -> int:
        self.check()
        self.driver.acted = True
        try:
            if start or len(data) > MOST_AT_ONCE:
                data = memoryview(data)[start : start + MOST_AT_ONCE]
            return os.write(self.fd, data)
        except WOULD_BLOCK:
            return 0

    def writev(self, buffers: list[bytes]) -> int:
        self.check()
        self.driver.acted = True
        try:
            return os.writev(self.fd, first_of(buffers))
        except WOULD_BLOCK:
            return 0

    def close(self) -> int:
        if not self.closed:
            if self.always_ready:
                self.wanted = 0
            self.closed = True
            sink = self.sink
            self.driver.remove(self, number_of(self.sock) == self.fd)
            self.sink = self.resting = None  # break the cycle between the two
            self.sock.close()
            del sink  # its finalizer may run user code, so it goes last
        return 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self.closed else 'open'} fd={self.fd}>"
