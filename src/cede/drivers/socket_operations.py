"""Awaitable socket operations: try at once, wait only if they must, try again.

Invariants
----------
* An operation takes or gives data only in an attempt whose result goes straight to the awaiting task. Between two attempts it
  holds no data, so a cancellation there loses nothing. What a cancelled `SendAll` has sent so far stays sent.
* While the operation waits, the watch of its socket holds its future; `abandon` takes it out. The operation leaves nothing else behind.
* The operation keeps its socket alive; the watch does not.
* The operation exports a buffer of the program as long as it relies on its address or size: while a call receives into it, and from the
  first attempt of a `SendAll` to its end.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from cede.core.task.awaitable import Operation
from cede.core.task.future import Future
from cede.drivers.portions import AT_ONCE, IN_A_ROW
from cede.drivers.readiness import ReadinessDriver
from cede.drivers.sendfile import send_some

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import CANCELLED, PENDING
    from cede.core.task.awaitable import ENDED, FAILED, SUSPENDED
    from cede.drivers.constants import READ, WRITE

    BLOCKED = 3

# `connect` of a Unix socket fails with EAGAIN while the backlog of the peer is full, and no event reports that it has room again.
BACKLOG_RETRY_SECONDS = 0.01

WOULD_BLOCK = (BlockingIOError, InterruptedError)

PLAIN = socket.socket


class SocketOperation(Operation):
    """One operation on one socket. A subclass implements `attempt`; this class waits between attempts."""

    driver: ReadinessDriver
    sock: Any
    future: Future | None
    fd: int
    direction: int

    def __init__(self, driver: ReadinessDriver, sock: Any) -> None:
        self.value = None
        self.driver = driver
        self.sock = sock
        self.future = None
        self.fd = -2
        self.direction = READ

    def advance(self) -> int:
        future = self.future
        if future is None:
            if self.fd != -2:
                self.value = RuntimeError("cannot reuse already awaited socket operation")
                return FAILED
            self.prepare()
        else:
            if future.state == PENDING:
                # Somebody resumed the operation by hand: go on waiting.
                future.blocking = True
                self.value = future
                return SUSPENDED
            self.future = None
            if future.state == CANCELLED:
                self.value = future._make_cancelled_error()
                return FAILED
            if future.failure is not None:
                self.value = future.exception()
                return FAILED
        self.driver.acted = True  # the attempt may make another descriptor of this loop ready
        outcome = self.attempt()
        if outcome == BLOCKED:
            return self.suspend()
        return outcome

    def prepare(self) -> int:
        self.fd = self.number()
        if self.fd >= 0:
            owner = self.driver.stream_owner(self.fd)
            if owner is not None:
                raise RuntimeError(f"File descriptor {self.fd} is used by transport {owner!r}")
        return 0

    def number(self) -> int:
        """The current descriptor of the socket; -1 if it is closed."""
        return self.sock.fileno()  # type: ignore[no-any-return]

    def attempt(self) -> int:
        """Try once. Returns ENDED or FAILED, with `value` set, or BLOCKED."""
        raise NotImplementedError

    def suspend(self) -> int:
        # Ask for the number again: while the task slept, the socket may have been closed and its number reused.
        self.fd = self.number()
        if self.fd < 0:
            self.value = OSError(errno.EBADF, os.strerror(errno.EBADF))
            return FAILED
        future = self.driver.park(self.sock, self.fd, self.direction)
        self.future = future
        future.blocking = True
        self.value = future
        return SUSPENDED

    def give_way(self) -> int:
        """Go on in the next turn. The socket still has room, so no event would come."""
        future = self.driver.kernel.waiter_for(self)
        self.driver.kernel.call_soon(wake, future)
        self.future = future
        future.blocking = True
        self.value = future
        return SUSPENDED

    def abandon(self) -> int:
        future = self.future
        if future is not None:
            self.future = None
            self.driver.unpark(self.fd, future, self.direction)
        if self.fd == -2:
            self.fd = -1  # closed before it was awaited: it must not start any more
        return 0

    def may_give_way(self) -> bool:
        return self.fd == -2

    def __repr__(self) -> str:
        state = "waiting" if self.future is not None else "new" if self.fd == -2 else "started"
        return f"<cede socket operation {type(self).__name__} {state} {self.sock!r}>"


class Receive(SocketOperation):
    """sock_recv"""

    def __init__(self, driver: ReadinessDriver, sock: Any, count: int) -> None:
        SocketOperation.__init__(self, driver, sock)
        self.count = count

    def attempt(self) -> int:
        try:
            self.value = self.sock.recv(self.count)
        except WOULD_BLOCK:
            return BLOCKED
        return ENDED


class ReceiveInto(SocketOperation):
    """sock_recv_into"""

    def __init__(self, driver: ReadinessDriver, sock: Any, buffer: Any) -> None:
        SocketOperation.__init__(self, driver, sock)
        self.buffer = buffer

    def attempt(self) -> int:
        try:
            self.value = self.sock.recv_into(self.buffer)
        except WOULD_BLOCK:
            return BLOCKED
        return ENDED


class ReceiveFrom(SocketOperation):
    """sock_recvfrom"""

    def __init__(self, driver: ReadinessDriver, sock: Any, count: int) -> None:
        SocketOperation.__init__(self, driver, sock)
        self.count = count

    def attempt(self) -> int:
        try:
            self.value = self.sock.recvfrom(self.count)
        except WOULD_BLOCK:
            return BLOCKED
        return ENDED


class ReceiveFromInto(SocketOperation):
    """sock_recvfrom_into"""

    def __init__(self, driver: ReadinessDriver, sock: Any, buffer: Any, count: int) -> None:
        SocketOperation.__init__(self, driver, sock)
        self.buffer = buffer
        self.count = count

    def attempt(self) -> int:
        try:
            self.value = self.sock.recvfrom_into(self.buffer, self.count)
        except WOULD_BLOCK:
            return BLOCKED
        return ENDED


class SendAll(SocketOperation):
    """sock_sendall"""

    def __init__(self, driver: ReadinessDriver, sock: Any, data: Any) -> None:
        SocketOperation.__init__(self, driver, sock)
        self.direction = WRITE
        self.data = data
        self.size = -1
        self.sent = 0

    def advance(self) -> int:
        outcome = FAILED
        try:
            outcome = SocketOperation.advance(self)
        finally:
            if outcome != SUSPENDED:
                self.data = None  # release the export: the owner may resize the buffer again
        return outcome

    def abandon(self) -> int:
        self.data = None
        return SocketOperation.abandon(self)

    def attempt(self) -> int:
        if self.size < 0:
            if type(self.data) is not bytes:
                # Export the buffer from here to the end: resizing it meanwhile raises BufferError, and `sent` stays within its size.
                self.data = as_bytes(self.data)
            self.size = len(self.data)
        data = self.data  # keep a reference: another thread may run during `send`, and abandon the operation
        rest = None
        in_a_row = 0
        # Send until the socket would block, not only until it takes less than all: with edges, no event comes while there is room. If the
        # socket has room for IN_A_ROW bytes, give way first.
        try:
            while True:
                rest = data if self.size <= AT_ONCE and self.sent == 0 else memoryview(data)[self.sent : self.sent + AT_ONCE]
                try:
                    taken = self.sock.send(rest)
                except WOULD_BLOCK:
                    return BLOCKED
                self.sent += taken
                if self.sent >= self.size:
                    self.value = None
                    return ENDED
                in_a_row += taken
                if in_a_row >= IN_A_ROW:
                    return self.give_way()
        finally:
            data = rest = None  # an error's traceback holds this frame


class SendFile(SocketOperation):
    """sock_sendfile"""

    def __init__(self, driver: ReadinessDriver, sock: Any, file: int, offset: int, count: int) -> None:
        SocketOperation.__init__(self, driver, sock)
        self.direction = WRITE
        self.file = file
        self.offset = offset
        self.count = count
        self.sent = 0

    def attempt(self) -> int:
        in_a_row = 0
        while True:
            left = AT_ONCE if self.count < 0 else self.count - self.sent
            taken = send_some(self.sock.fileno(), self.file, self.offset + self.sent, left) if left else -1
            if taken == 0:
                return BLOCKED
            if taken < 0:
                self.value = self.sent
                return ENDED
            self.sent += taken
            in_a_row += taken
            if in_a_row >= IN_A_ROW:
                return self.give_way()


class SendTo(SocketOperation):
    """sock_sendto"""

    def __init__(self, driver: ReadinessDriver, sock: Any, data: Any, address: Any) -> None:
        SocketOperation.__init__(self, driver, sock)
        self.direction = WRITE
        self.data = data
        self.address = address

    def attempt(self) -> int:
        try:
            self.value = self.sock.sendto(self.data, self.address)
        except WOULD_BLOCK:
            return BLOCKED
        return ENDED


class Accept(SocketOperation):
    """sock_accept"""

    def attempt(self) -> int:
        try:
            connection, address = self.sock.accept()
        except WOULD_BLOCK:
            return BLOCKED
        connection.setblocking(False)
        self.value = (connection, address)
        return ENDED


class Connect(SocketOperation):
    """sock_connect"""

    def __init__(self, driver: ReadinessDriver, sock: Any, address: Any) -> None:
        SocketOperation.__init__(self, driver, sock)
        self.direction = WRITE
        self.address = address
        self.started = False
        self.timer = None

    def attempt(self) -> int:
        if not self.started:
            if type(self.sock) is not PLAIN or self.sock.gettimeout() != 0.0:
                return self.begin_by_methods()
            code = self.sock.connect_ex(self.address)
            if code == 0:
                self.value = None
                return ENDED
            if code == errno.EAGAIN:
                return self.retry_later()
            if code != errno.EINPROGRESS and code != errno.EINTR:
                raise OSError(code, os.strerror(code))
            # Within one machine the peer may have answered by now. But wait for the next poll to report it, as asyncio does.
            self.started = True
            return BLOCKED
        return self.look()

    def look(self) -> int:
        """The outcome of the connection attempt: ENDED or FAILED, with `value` set, or BLOCKED."""
        failure = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            return self.refused(failure)
        try:
            # The event may come from an earlier state of the socket: it is connected only if it has a peer.
            self.sock.getpeername()
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
            return BLOCKED
        self.value = None
        return ENDED

    def refused(self, code: int) -> int:
        self.value = OSError(code, f"Connect call failed {self.address}")
        return FAILED

    def begin_by_methods(self) -> int:
        """The first attempt, for a socket that may have methods of its own."""
        try:
            self.sock.connect(self.address)
        except WOULD_BLOCK as error:
            if error.errno == errno.EAGAIN:
                return self.retry_later()
            self.started = True
            return BLOCKED
        self.value = None
        return ENDED

    def retry_later(self) -> int:
        future = self.driver.kernel.waiter_for(self)
        self.future = future
        self.timer = self.driver.kernel.call_later(BACKLOG_RETRY_SECONDS, wake, future)
        future.blocking = True
        self.value = future
        return SUSPENDED

    def abandon(self) -> int:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        return SocketOperation.abandon(self)


def as_bytes(data: Any) -> memoryview:
    """The bytes of a buffer of any shape. Raises TypeError if `data` is no buffer, BufferError if it is not contiguous."""
    view = memoryview(data)
    if not view.c_contiguous:
        raise BufferError("memoryview: underlying buffer is not C-contiguous")
    return view.cast("B") if view.nbytes else memoryview(b"")


def wake(future: Future) -> None:
    if not future.done():
        future.set_result(None)
