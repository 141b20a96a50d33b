"""Datagram sockets through the methods of the socket object.

The selector driver does everything this way. The epoll driver serves sockets this way that are not exactly `socket.socket`, or whose
family it does not know.

A turn delivers as many datagrams of a socket as one system call brought, IN_A_ROW at most; asyncio takes one a turn. What they wake runs
in the next turn, as after any event.

A nested turn may receive again while the driver delivers datagrams. So each socket has a list of the datagrams that were received
together, and every delivery takes the oldest one from it.

The full queue is not always the socket's own. `sendto` on an unconnected Unix socket fails with EAGAIN while the *receiver's* queue is
full, but the socket stays writable all the time: the system has no event for that. So if an event reported room and not one datagram
could be sent, the channel rests for `REST_SECONDS` instead of trying in each turn.
"""

from __future__ import annotations

import socket
from typing import Any

from cede.drivers.contract import DatagramChannel, Sink
from cede.drivers.readiness import ReadinessDriver

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.drivers.constants import READ, WRITE

# asyncio's figure; the largest UDP datagram is 65,507 bytes, a Unix one may be as large as its sender's buffer.
LARGEST = 256 * 1024

# The most datagrams that a driver takes from one socket before it serves the others. How many it asks for follows the traffic: if they
# come one by one, a second attempt each time would waste a system call.
IN_A_ROW = 16

REST_SECONDS = 0.002

WOULD_BLOCK = (BlockingIOError, InterruptedError)


def check_address(family: int, address: Any) -> None:
    """Raise TypeError or OverflowError if `address` cannot be one of an internet socket; other families have their own forms."""
    shapes: tuple[int, ...]
    if family == socket.AF_INET:
        shapes, name = (2,), "(host, port)"
    elif family == socket.AF_INET6:
        shapes, name = (2, 3, 4), "(host, port[, flowinfo[, scope_id]])"
    else:
        if address is None:
            raise TypeError("the destination is missing: give addr, or make the endpoint with remote_addr")
        return
    if address is None:
        raise TypeError(f"the destination is missing: give addr, a tuple {name}, or make the endpoint with remote_addr")
    if not isinstance(address, tuple) or len(address) not in shapes:
        raise TypeError(f"addr must be a tuple {name}, got {address!r}")
    if not isinstance(address[0], (str, bytes, bytearray)):
        raise TypeError(f"addr: the host must be a str, got {address[0]!r}")
    if not all(isinstance(number, int) for number in address[1:]):
        raise TypeError(f"addr: the port must be an int, got {address!r}")
    if not 0 <= address[1] <= 0xFFFF:
        raise OverflowError(f"addr: the port must be 0-65535, got {address[1]}")


class ReadinessDatagrams(DatagramChannel):
    """A datagram socket of any driver that learns of readiness; a subclass makes the system calls."""

    driver: ReadinessDriver
    rest: Any
    kept: list[Any]  # what was received together, oldest last: data, and behind it the sender's address
    left: int  # how many of them are not delivered yet: the first `left` pairs
    waiting: bool  # `tell_kept` is scheduled
    # True from the system call until the datagram is delivered, or kept. A finalizer may run a turn by hand in between, which must receive
    # nothing from this socket: the sink would get that before the earlier datagrams.
    receiving: bool

    def __init__(self, driver: ReadinessDriver, sock: Any, sink: Sink) -> None:
        self.driver = driver
        self.sock = sock
        self.sink = sink
        self.fd = sock.fileno()
        self.family = sock.family
        self.wanted = 0
        self.armed = 0
        self.edge = False
        self.generation = 0
        self.closed = False
        self.batch = 1
        self.refused = False
        self.telling = False
        self.held = False
        self.rest = None
        self.kept = []
        self.left = 0
        self.waiting = False
        self.receiving = False

    # -- interest

    def resume(self) -> int:
        if self.closed:
            return 0
        self.driver.set_interest(self, self.wanted | READ)
        return self.tell_later()

    def pause(self) -> int:
        return 0 if self.closed else self.driver.set_interest(self, self.wanted & ~READ)

    def want_writable(self, on: bool) -> int:
        if self.rest is not None:
            if on:
                return 0
            self.rest.cancel()
            self.rest = None
        if self.closed:
            return 0
        if on:
            return self.driver.set_interest(self, self.wanted | WRITE)
        return self.withdraw_write()

    def withdraw_write(self) -> int:
        if self.wanted & WRITE:
            self.driver.set_interest(self, self.wanted & ~WRITE)
            # There nearly always is room: a registration left armed would fire at once, and again in each turn.
            self.driver.apply_interest(self)
        return 0

    # -- events

    def fire(self, events: int) -> int:
        if not events & self.wanted:
            return self.driver.apply_interest(self)
        if events & self.wanted & READ:
            sink = self.sink
            try:
                if self.driver.kernel._announced_task is not None:
                    self.driver.kernel.enter_callback()  # before anything is received: up to Python 3.11 this may run user code
                if self.receiving or not self.wanted & READ:
                    return 0  # the next poll reports it again
                if not self.left:
                    self.receive()
                self.tell_kept()
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                # Memory is short: a datagram was received that cannot be delivered.
                return sink.read_failed(error)
        if events & self.wanted & WRITE:
            self.refused = False
            self.sink.writable()
            if self.refused and self.wanted & WRITE:
                self.take_a_rest()
        return 0

    def receive(self) -> int:
        """Receive up to `batch` datagrams. Deliver them, or put them into `kept` for the `tell_kept` of the same class."""
        raise NotImplementedError

    def expect(self, count: int) -> int:
        """Set the next `batch`, after `count` datagrams arrived of the `batch` that were asked for."""
        if count >= self.batch:
            self.batch = min(2 * self.batch, IN_A_ROW)
        else:
            self.batch = max(count, 1)
        return 0

    def tell_kept(self) -> int:
        """Deliver the kept datagrams. An interrupt, or a pause, leaves the rest in `kept`."""
        return 0

    def tell_later(self) -> int:
        """Schedule the delivery of what is kept, because no event reports it."""
        if self.left and self.wanted & READ and not self.waiting:
            self.waiting = True
            self.driver.kernel.call_soon(self.tell_waiting)
        return 0

    def tell_waiting(self) -> None:
        """Deliver what is kept; the ring calls this."""
        self.waiting = False
        self.tell_kept()

    def take_a_rest(self) -> int:
        self.withdraw_write()
        self.rest = self.driver.kernel.call_later(REST_SECONDS, self.go_on)
        return 0

    def go_on(self) -> None:
        self.rest = None
        if not self.closed:
            self.driver.set_interest(self, self.wanted | WRITE)

    def close(self) -> int:
        if not self.closed:
            self.closed = True
            self.left = 0
            self.kept = []
            if self.rest is not None:
                self.rest.cancel()
                self.rest = None
            self.driver.remove(self, self.sock.fileno() == self.fd)
            sink = self.sink
            self.sink = None  # break the cycle between the two
            self.sock.close()
            del sink  # its finalizer may run user code, so it goes last
        return 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self.closed else 'open'} fd={self.fd}>"


class MethodDatagrams(ReadinessDatagrams):
    """A datagram socket over its own methods."""

    def receive(self) -> int:
        for count in range(self.batch):
            try:
                self.driver.acted = True  # a sender on this loop may have room again
                self.receiving = True
                data, address = self.sock.recvfrom(LARGEST)
            except WOULD_BLOCK:
                return self.expect(count)
            except (KeyboardInterrupt, SystemExit):
                raise
            except OSError as error:
                if self.sock.fileno() != self.fd:
                    return self.driver.drop_stale(self)
                return self.sink.datagram_failed(error)
            except BaseException as error:
                return self.sink.read_failed(error)
            finally:
                self.receiving = False
            sink = self.sink
            sink.received_from(data, address)
            if not self.wanted & READ:
                return 0
        return self.expect(self.batch)

    def target(self, address: Any) -> Any:
        if address is not None:
            check_address(self.family, address)
        return address

    def send(self, data: Any, address: Any) -> int:
        self.driver.acted = True
        try:
            if address is None:
                self.sock.send(data)
            else:
                self.sock.sendto(data, address)
        except WOULD_BLOCK:
            self.refused = True
            return 0
        return 1

    def send_many(self, datagrams: list[tuple[bytes, Any]]) -> int:
        taken = 0
        for data, target in datagrams:
            try:
                if not self.send(data, target):
                    break
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                if taken:
                    break  # this datagram will be the first of the next call
                raise
            taken += 1
        self.refused = not taken
        return taken
