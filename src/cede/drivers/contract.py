"""The contract of a driver: the requests of the floors above, and the calls by which a driver answers.

The contract is completion-shaped: "receive from this until I say stop", "take these bytes", "accept here". The driver then delivers the
result. It may learn that from epoll, from a ring or from a simulated network: no transport makes a system call, and none hears of
readiness.
The driver also makes the sockets and resolves the names.

A driver that speaks C is written like this. One in plain Python is a plain object: see python_driver.py.

Invariants
----------
* **One owner per descriptor.** From `open_stream` to `Stream.close` the stream alone uses its descriptor; the same holds for an acceptor,
  a datagram socket and the end of a pipe. The driver refuses a second registration of the number with RuntimeError, unless somebody else
  has closed the socket of the first one. Then the driver tells the first owner that its socket is gone, before the number serves a new
  one.
* **A number is not an identity.** Before each use of a number, a driver checks that the socket object still has it: a socket that was
  closed behind its back gives EBADF, never somebody else's connection.
* **Closed is silent.** After `close` the driver makes no more calls on the sink, not even for the rest of the current batch. After
  `pause` the same holds for received data.
* **Forget first, close second.** A driver removes the kernel's registration before it closes the descriptor: a duplicate of the
  descriptor, in a forked child for example, would otherwise keep the registration alive with nobody to answer.
* A sink handles the errors of user code. KeyboardInterrupt and SystemExit leave `tell`; the next `tell` delivers the rest of the batch.
* **An event goes to those who wanted it before the poll.** If a channel began to want something after the poll that brought an event,
  the driver does not deliver that event: it would come a turn early. `stamp` is the number of the poll after which the channel began to
  want `fresh`. The next poll reports a level again; for an edge, the driver registers once more.
* The driver sets `acted` when it does something that may make another descriptor of this loop ready, and when a descriptor that it has
  delivered may have more: data that one receive did not take, or the end behind the data.
* `idle` is true exactly while no channel wants anything.
* Each event is a step: the driver increments `Kernel.events` before it delivers the event, and calls `Kernel.end_step` before it picks
  the next event, because that call may run user code.
"""

from __future__ import annotations

import socket
import weakref
from typing import Any

from cede.core.scheduler.ports import AfterStep, DriverPort

# Sockets are born non-blocking where the system knows how, which spares a call.
NON_BLOCKING = getattr(socket, "SOCK_NONBLOCK", 0)


class Sink(AfterStep):
    """The owner of a stream or datagram socket, whose methods the driver calls. `StreamTransport` is one.

    If ``buffered`` is true, data goes into the owner's own buffer: `get_buffer`, then `buffer_updated`, instead of `received`.
    Only KeyboardInterrupt and SystemExit may leave these methods.
    """

    buffered: bool

    def received(self, data: bytes) -> int:
        """`data` has arrived. It is never empty."""
        raise NotImplementedError

    def get_buffer(self) -> Any:
        """A writable buffer of at least one byte for the next data. None if the sink has handled an error of its own."""
        raise NotImplementedError

    def buffer_updated(self, count: int) -> int:
        """The last buffer of `get_buffer` holds `count` bytes (at least one); it is no longer exported."""
        raise NotImplementedError

    def eof(self) -> int:
        """The peer sends no more. The stream has paused itself."""
        raise NotImplementedError

    def received_from(self, data: bytes, address: Any) -> int:
        """A datagram has arrived, maybe an empty one. `address` is its sender; None if that has no name."""
        raise NotImplementedError

    def datagram_failed(self, error: OSError) -> int:
        """An earlier datagram did not arrive, or receiving failed once. The socket remains usable."""
        raise NotImplementedError

    def read_failed(self, error: BaseException) -> int:
        """Receiving failed for good."""
        raise NotImplementedError

    def writable(self) -> int:
        """There is room again. Called after ``want_writable(True)``, until ``want_writable(False)``."""
        raise NotImplementedError


class Address:
    """An address in the form of the system. A driver may return it in place of Python's form, which `unpacked` makes on demand."""

    def unpacked(self) -> Any:
        """The address as the socket module would return it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return repr(self.unpacked())


class Channel:
    """One descriptor in a driver's hands.

    ``wanted`` is what the owner asks for (READ, WRITE); ``armed`` is what the driver has registered with the kernel. `armed` may hold
    more than `wanted` for a while: the driver withdraws interest only when an unwanted event arrives, so `pause` and `resume` cost no
    system call.
    """

    fd: int
    wanted: int
    armed: int
    edge: bool
    generation: int
    stamp: int
    fresh: int

    def fire(self, events: int) -> int:
        """At least one of `events` has happened. Drivers that learn of readiness call this."""
        raise NotImplementedError

    def hold_sink(self) -> int:
        """The channel wants something from now on: refer to the sink."""
        return 0

    def let_sink_go(self) -> int:
        """The channel wants nothing for now: release the sink. It may be gone when this returns, so call this last."""
        return 0


class Owned(Channel):
    """A channel that owns its descriptor until `close`. ``sock`` is the object of the descriptor: a socket, or the file of a pipe."""

    sock: Any
    closed: bool
    sink: Sink

    def close(self) -> int:
        """Forget the descriptor, then close the object. May be called any number of times."""
        raise NotImplementedError

    def owner(self) -> Sink | None:
        """The sink; None once it is gone, or the channel closed."""
        return self.sink

    def own_address(self) -> Any:
        """What ``sock.getsockname()`` says. Raises OSError."""
        return self.sock.getsockname()

    def peer_address(self) -> Any:
        """What ``sock.getpeername()`` says, or an `Address`. Raises OSError."""
        return self.sock.getpeername()


class Stream(Owned):
    """A connected stream socket inside the driver, which owns the socket object until `close`; or one end of a pipe.

    A stream keeps its sink alive only while it wants something. A resting stream, for example a paused one, dies with the last reference
    to its sink. So ``sink`` is None while the stream rests. A caller of the sink holds a reference meanwhile, because the call may make
    the stream rest.
    """

    resting: Any  # a weak reference to the sink, from the first rest on

    def hold_sink(self) -> int:
        """Refer to the sink strongly from now on."""
        if self.sink is None and self.resting is not None:
            self.sink = self.resting()
        return 0

    def let_sink_go(self) -> int:
        """Refer to the sink weakly from now on."""
        sink = self.sink
        if sink is not None:
            if self.resting is None:
                self.resting = weakref.ref(sink)
            self.sink = None
        return 0

    def owner(self) -> Sink | None:
        """The sink; None once it is gone, or the channel closed."""
        if self.sink is None and self.resting is not None:
            return self.resting()  # type: ignore[no-any-return]
        return self.sink

    def resume(self) -> int:
        """Receive from now on, whatever comes, until `pause`."""
        raise NotImplementedError

    def pause(self) -> int:
        """Receive nothing from now on."""
        raise NotImplementedError

    def write(self, data: Any, start: int) -> int:
        """Send ``data[start:]`` (bytes) now. Returns the number of bytes taken, 0 if there is no room. Raises OSError."""
        raise NotImplementedError

    def writev(self, buffers: list[bytes]) -> int:
        """Send the first buffers of the list with one system call. Returns the number of bytes taken, 0 if there is no room.

        The driver decides how many buffers it offers. Raises OSError.
        """
        raise NotImplementedError

    def want_writable(self, on: bool) -> int:
        """Have the driver call `Sink.writable` when there is room."""
        raise NotImplementedError

    def send_file(self, file: int, offset: int, count: int) -> int:
        """Send at most `count` bytes (at least one) of the file with descriptor `file`, from `offset`, without reading them.

        Returns the number of bytes taken, 0 if there is no room, -1 at the end of the file. Raises NotImplementedError if this stream
        cannot do that, OSError if the system refuses.
        """
        raise NotImplementedError

    def shutdown_write(self) -> int:
        """End the stream for the peer: send no more. Raises OSError."""
        raise NotImplementedError


class DatagramChannel(Owned):
    """A datagram socket inside the driver, which owns the socket object until `close`.

    ``telling`` is true while the driver delivers the datagrams of one batch. The owner may then defer what it sends, and set ``held``:
    the driver calls `Sink.writable` when the batch is over or takes long, even without `want_writable`.
    """

    telling: bool
    held: bool

    def resume(self) -> int:
        """Receive from now on, whatever comes, until `pause`."""
        raise NotImplementedError

    def pause(self) -> int:
        """Receive nothing from now on. The driver delivers after `resume` what it has taken from the system already."""
        raise NotImplementedError

    def send(self, data: Any, address: Any) -> int:
        """Send one datagram, to `address` or (None) to the connected peer. Returns 1, or 0 if there is no room.

        Raises OSError if the system refuses; TypeError, ValueError or OverflowError if `address` is no address.
        """
        raise NotImplementedError

    def target(self, address: Any) -> Any:
        """`address` in the form that `send_many` takes. Raises as `send` does if it is no address."""
        raise NotImplementedError

    def send_many(self, datagrams: list[tuple[bytes, Any]]) -> int:
        """Send the first pairs of (data, target) with as few system calls as possible. Returns how many were taken, 0 if there is no room.

        Stops before the first datagram that cannot be sent. Raises OSError if that is the very first one.
        """
        raise NotImplementedError

    def want_writable(self, on: bool) -> int:
        """Have the driver call `Sink.writable` when there is room."""
        raise NotImplementedError


class AcceptSink:
    """The owner of an acceptor, whose methods the driver calls."""

    def accepted(self, sock: Any, address: Any) -> int:
        """Take over a connection: `sock` is non-blocking. `address` is the peer's, or an `Address`.

        If a signal handler raises in here, the driver calls this once more, at once, with the same arguments.
        """
        raise NotImplementedError

    def accept_failed(self, error: BaseException) -> int:
        """Accepting failed, not for lack of resources. The acceptor goes on."""
        raise NotImplementedError


class Acceptor(Channel):
    """A listening socket inside the driver."""

    sock: Any
    closed: bool

    def start(self) -> int:
        """Accept from now on. If descriptors or memory run out, report once, pause for a second, and go on."""
        raise NotImplementedError

    def stop(self) -> int:
        """Accept nothing from now on; the socket goes on listening."""
        raise NotImplementedError

    def close(self) -> int:
        """Forget the descriptor, then close the socket. May be called any number of times."""
        raise NotImplementedError


class Driver(DriverPort):
    """How transports and socket operations meet the outside world.

    The ``op_*`` methods make awaitable operations. An operation does nothing until it is awaited; then it tries at once, and waits
    only if it must. A cancelled operation has taken no data and leaves nothing behind.
    """

    def attach(self, kernel: Any) -> int:
        """Serve `kernel`: put handles on its ring, and reports to its exception handler. Called once, before anything is registered."""
        raise NotImplementedError

    def wakeup_fd(self) -> int:
        """A descriptor for `signal.set_wakeup_fd`: a byte written to it makes `wait` return, and Python's signal handlers run.

        Without it the loop would notice a signal that another thread receives, or that arrives just before the wait, with the next event.

        Each byte other than zero is a signal's number. After Python's own handlers have run, the driver calls ``signal_sink(numbers)``
        with the bytes that it read, if its attribute `signal_sink` is not None.
        """
        raise NotImplementedError

    def make_socket(self, family: int, kind: int, proto: int) -> Any:
        """A new non-blocking socket. Raises OSError."""
        sock = socket.socket(family=family, type=kind | NON_BLOCKING, proto=proto)
        if not NON_BLOCKING:
            sock.setblocking(False)
        return sock

    def resolve(self, host: Any, port: Any, family: int, kind: int, proto: int, flags: int) -> Any:
        """What ``socket.getaddrinfo`` would say, or an awaitable of that; None: the system is asked, on a thread."""
        return None

    def open_stream(self, sock: Any, sink: Sink) -> Stream:
        """Take over `sock`, connected and non-blocking. It is paused at first, and never delays small writes (TCP_NODELAY).

        Raises RuntimeError if this driver uses the descriptor already."""
        raise NotImplementedError

    def open_datagrams(self, sock: Any, sink: Sink) -> DatagramChannel:
        """Take over `sock`, a non-blocking datagram socket. It is paused at first. RuntimeError if this driver uses the descriptor."""
        raise NotImplementedError

    def open_pipe(self, pipe: Any, sink: Sink, reading: bool) -> Stream:
        """Take over `pipe`, anything with ``fileno()`` and ``close()`` whose descriptor is non-blocking.

        The stream goes one way, and is paused at first. After `resume` a reading end receives, and a writing end calls `Sink.eof` when
        nobody reads any more. Raises RuntimeError if this driver uses the descriptor already.
        """
        raise NotImplementedError

    def open_acceptor(self, sock: Any, sink: AcceptSink, backlog: int) -> Acceptor:
        """Take over `sock`, listening and non-blocking. It is stopped at first, and accepts at most `backlog` connections in a row."""
        raise NotImplementedError

    def stream_owner(self, fd: int) -> Sink | None:
        """The sink of the stream, datagram socket or pipe that owns `fd`, or None."""
        raise NotImplementedError

    def op_recv(self, sock: Any, count: int) -> Any:
        """Await up to `count` bytes; b"" at the end of the stream."""
        raise NotImplementedError

    def op_recv_into(self, sock: Any, buffer: Any) -> Any:
        """Await data in `buffer`; the number of bytes."""
        raise NotImplementedError

    def op_recvfrom(self, sock: Any, count: int) -> Any:
        """Await one datagram of up to `count` bytes, and its sender."""
        raise NotImplementedError

    def op_recvfrom_into(self, sock: Any, buffer: Any, count: int) -> Any:
        """Await one datagram in the first `count` bytes of `buffer` (0: all of it); its length and sender."""
        raise NotImplementedError

    def op_sendall(self, sock: Any, data: Any) -> Any:
        """Await that all of `data` is sent. None."""
        raise NotImplementedError

    def op_sendto(self, sock: Any, data: Any, address: Any) -> Any:
        """Await that one datagram is sent to `address`; its length."""
        raise NotImplementedError

    def op_sendfile(self, sock: Any, file: int, offset: int, count: int) -> Any:
        """Await that the file with descriptor `file` is sent from `offset` to its end, or `count` bytes of it (negative: no limit).

        The attribute ``sent`` of the operation counts the bytes, even if it fails; that is its result too. Raises NotImplementedError
        if the system cannot send files through this socket.
        """
        raise NotImplementedError

    def op_accept(self, sock: Any) -> Any:
        """Await one connection: a non-blocking socket and its address."""
        raise NotImplementedError

    def op_connect(self, sock: Any, address: Any) -> Any:
        """Await the connection to `address`, in which host names are resolved already. None."""
        raise NotImplementedError

    def add_reader(self, fd: int, handle: Any) -> int:
        """Run `handle` in each turn in which `fd` is readable. Replaces, and cancels, the previous handle."""
        raise NotImplementedError

    def remove_reader(self, fd: int) -> bool:
        """Cancel the reader of `fd`. Returns False if there is none."""
        raise NotImplementedError

    def add_writer(self, fd: int, handle: Any) -> int:
        """As `add_reader`, for writing."""
        raise NotImplementedError

    def remove_writer(self, fd: int) -> bool:
        """As `remove_reader`, for writing."""
        raise NotImplementedError

    def after_fork(self) -> int:
        """In the child of a fork: close the driver's own descriptors, and leave the parent's registrations as they are.

        The driver is closed from then on.
        """
        raise NotImplementedError

    def close(self) -> int:
        """Forget every descriptor and close the driver's own. Sockets stay open: they belong to their owners."""
        raise NotImplementedError
