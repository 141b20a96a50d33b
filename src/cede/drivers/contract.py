"""What the floors above ask of a driver, and what a driver tells them.

The contract is completion-shaped: "receive from this until told otherwise", "take these bytes", "accept here", and the
driver tells the result. Whether it learns that from epoll, from a ring or from a simulated network is its own affair; no
transport makes a system call, and none is told of readiness.

Invariants
----------
* **One owner per descriptor.** From `open_stream` to `Stream.close` the stream alone uses its descriptor, and the same holds
  for an acceptor, a datagram socket and the end of a pipe. A second registration of the number is refused with RuntimeError,
  unless the socket behind the first was closed by somebody else; then the first is told that its socket is gone, before the
  number serves anybody new.
* **A number is not an identity.** A driver looks at the socket object before it uses the number, each time: a socket that was
  closed behind our back gives EBADF, never somebody else's connection.
* **Closed is silent.** After `close` (and after `pause`, for what is received) the sink hears nothing more, not even what
  the same batch of events still held.
* **Forget first, close second.** A registration is removed from the kernel before the descriptor is closed: a duplicate of the
  descriptor, in a forked child for one, would otherwise keep it alive with nobody to answer.
* A sink handles the errors of the user's code. KeyboardInterrupt and SystemExit leave `tell`; the rest of the batch is told by the next
  `tell`, nothing of it is lost.
* **Told is who asked before the poll.** What a channel began to want after the poll that brought an event is not told of that event: it
  would come a turn early. `stamp` is the number of the poll after which the channel began to want `fresh`. A level is told by the next
  poll; an edge is asked for once more.
* `acted` is set wherever something is done that another descriptor of this loop may tell of, and wherever a descriptor that was told of
  may have more to tell: data that one receive did not take, or the end behind the data.
* `idle` is true exactly while no channel wants anything.
* Each event is a step: `Kernel.events` counts it before it is told, and what it left (`Kernel.end_step`) is done before the next one is
  picked, for that may run the program.
"""

from __future__ import annotations

import weakref
from typing import Any

from cede.core.scheduler.ports import AfterStep, DriverPort


class Sink(AfterStep):
    """What a stream or a datagram socket tells its owner. `StreamTransport` is one.

    ``buffered`` is true where data goes into the owner's own buffer: `get_buffer`, then `buffer_updated`, instead of `received`.
    Only KeyboardInterrupt and SystemExit may leave these methods.
    """

    buffered: bool

    def received(self, data: bytes) -> int:
        """`data` arrived: never empty."""
        raise NotImplementedError

    def get_buffer(self) -> Any:
        """A writable buffer of at least one byte for what arrives next, or None: the sink has dealt with an error of its own."""
        raise NotImplementedError

    def buffer_updated(self, count: int) -> int:
        """`count` bytes (at least one) are in the buffer that was asked for last; it is no longer exported."""
        raise NotImplementedError

    def eof(self) -> int:
        """The peer sends no more. The stream receives no more either: it has paused itself."""
        raise NotImplementedError

    def received_from(self, data: bytes, address: Any) -> int:
        """A datagram arrived, empty or not; `address` is its sender, None where that has no name."""
        raise NotImplementedError

    def datagram_failed(self, error: OSError) -> int:
        """Something that was sent did not arrive, or nothing can be received just now. The socket goes on."""
        raise NotImplementedError

    def read_failed(self, error: BaseException) -> int:
        """Receiving failed for good."""
        raise NotImplementedError

    def writable(self) -> int:
        """There is room again; asked for with ``want_writable(True)``, and told until that is taken back."""
        raise NotImplementedError


class Address:
    """An address in the system's form, which a driver may give in place of one in Python's: that is made when somebody asks."""

    def unpacked(self) -> Any:
        """As the socket module would give it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return repr(self.unpacked())


class Channel:
    """One descriptor in a driver's hands.

    ``wanted`` is what the owner asks for (READ, WRITE), ``armed`` what the kernel was told. `armed` may hold more than `wanted` for
    a while: interest is withdrawn only when an event shows that it must be, which makes pause and resume free of system calls.
    """

    fd: int
    wanted: int
    armed: int
    edge: bool
    generation: int
    stamp: int
    fresh: int

    def fire(self, events: int) -> int:
        """Something of `events` happened: the inner entrance of drivers that learn of readiness."""
        raise NotImplementedError

    def hold_sink(self) -> int:
        """Something is wanted from now on."""
        return 0

    def let_sink_go(self) -> int:
        """Nothing is wanted for now. The owner may be gone when this returns: whoever calls it does so last."""
        return 0


class Owned(Channel):
    """A channel that owns its descriptor until `close`. ``sock`` is the object behind it: a socket, or the file object of a pipe."""

    sock: Any
    closed: bool
    sink: Sink

    def close(self) -> int:
        """Forget the descriptor, then close the object. Any number of times."""
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

    It keeps its sink alive while something is wanted of it, and only then: one that rests, as a paused one does, goes with whoever refers
    to its sink. So ``sink`` is None while it rests, and whoever calls the sink holds it meanwhile, for what it calls may make it rest.
    """

    resting: Any  # a weak reference to the sink, once it has rested

    def hold_sink(self) -> int:
        """The sink is needed from now on."""
        if self.sink is None and self.resting is not None:
            self.sink = self.resting()
        return 0

    def let_sink_go(self) -> int:
        """The sink is its owner's alone."""
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
        """Send ``data[start:]`` (bytes) now; the number of bytes taken, 0 where there is no room. Raises OSError."""
        raise NotImplementedError

    def writev(self, buffers: list[bytes]) -> int:
        """Send the first buffers of the list with one system call; the number of bytes taken, 0 where there is no room.

        How many of them are offered is the driver's business. Raises OSError.
        """
        raise NotImplementedError

    def want_writable(self, on: bool) -> int:
        """Ask to be told, by `Sink.writable`, when there is room."""
        raise NotImplementedError

    def send_file(self, file: int, offset: int, count: int) -> int:
        """Send at most `count` bytes (at least one) of the file with descriptor `file`, from `offset`, without reading them.

        Returns the number of bytes taken, 0 where there is no room, -1 at the end of the file. Raises NotImplementedError where
        this cannot be done with this stream, OSError where the system refuses.
        """
        raise NotImplementedError

    def shutdown_write(self) -> int:
        """Send no more: the peer sees the end of the stream. Raises OSError."""
        raise NotImplementedError


class DatagramChannel(Owned):
    """A datagram socket inside the driver, which owns the socket object until `close`.

    ``telling`` is true while the datagrams of one batch are told. The owner may then hold what it sends, and sets ``held``: it is told
    by `Sink.writable`, when the batch is over or takes long, without having asked for it.
    """

    telling: bool
    held: bool

    def resume(self) -> int:
        """Receive from now on, whatever comes, until `pause`."""
        raise NotImplementedError

    def pause(self) -> int:
        """Receive nothing from now on; what was taken from the system and not told yet is told after `resume`."""
        raise NotImplementedError

    def send(self, data: Any, address: Any) -> int:
        """Send one datagram, to `address` or (None) to the peer that the socket is connected to: 1, or 0 where there is no room.

        Raises OSError where the system refuses, TypeError, ValueError or OverflowError for what is no address.
        """
        raise NotImplementedError

    def target(self, address: Any) -> Any:
        """`address` in the form that `send_many` takes. Raises as `send` does for what is no address."""
        raise NotImplementedError

    def send_many(self, datagrams: list[tuple[bytes, Any]]) -> int:
        """Send the first ones of (data, target) with as few system calls as can be; how many were taken, 0 where there is no room.

        Stops before the first that cannot be sent. Raises OSError where that is the very first.
        """
        raise NotImplementedError

    def want_writable(self, on: bool) -> int:
        """Ask to be told, by `Sink.writable`, when there is room."""
        raise NotImplementedError


class AcceptSink:
    """What an acceptor tells its owner."""

    def accepted(self, sock: Any, address: Any) -> int:
        """A connection: `sock` is non-blocking, and the sink's from now on. `address` is the peer's, or an `Address`.

        Where a signal's handler raises in here it is called once more, at once, with the same two.
        """
        raise NotImplementedError

    def accept_failed(self, error: BaseException) -> int:
        """Accepting failed, and not for want of resources. The acceptor goes on."""
        raise NotImplementedError


class Acceptor(Channel):
    """A listening socket inside the driver."""

    sock: Any
    closed: bool

    def start(self) -> int:
        """Accept from now on. Where descriptors or memory run out: one report, a pause of a second, and on."""
        raise NotImplementedError

    def stop(self) -> int:
        """Accept nothing from now on; the socket goes on listening."""
        raise NotImplementedError

    def close(self) -> int:
        """Forget the descriptor, then close the socket. Any number of times."""
        raise NotImplementedError


class Driver(DriverPort):
    """How transports and socket operations meet the world.

    The ``op_*`` methods make awaitable operations: nothing happens until they are awaited; then each tries at once and waits
    only if it must, and a cancelled one has taken no data and left nothing behind.
    """

    def attach(self, kernel: Any) -> int:
        """Serve `kernel`: its ring takes the handles, its exception handler the reports. Once, before anything is registered."""
        raise NotImplementedError

    def wakeup_fd(self) -> int:
        """A descriptor for `signal.set_wakeup_fd`: a byte written to it makes `wait` return, and Python's signal handlers run.

        Without it a signal that another thread receives, or that arrives just before the wait, is noticed with the next event.

        Each byte that is no zero is a signal's number. After Python's own handlers ran, ``signal_sink(numbers)`` is called with
        those that came, where the driver's attribute `signal_sink` is not None.
        """
        raise NotImplementedError

    def open_stream(self, sock: Any, sink: Sink) -> Stream:
        """Take over `sock`, connected and non-blocking. It is paused at first, and never delays small writes (TCP_NODELAY).

        RuntimeError where the descriptor is in use here."""
        raise NotImplementedError

    def open_datagrams(self, sock: Any, sink: Sink) -> DatagramChannel:
        """Take over `sock`, a non-blocking datagram socket. It is paused at first. RuntimeError where the descriptor is in use here."""
        raise NotImplementedError

    def open_pipe(self, pipe: Any, sink: Sink, reading: bool) -> Stream:
        """Take over `pipe`, anything with ``fileno()`` and ``close()`` whose descriptor is non-blocking.

        A stream that goes one way. It is paused at first; resumed, the reading end receives, and the other one tells by `Sink.eof`
        that nobody reads any more. RuntimeError where the descriptor is in use here.
        """
        raise NotImplementedError

    def open_acceptor(self, sock: Any, sink: AcceptSink, backlog: int) -> Acceptor:
        """Take over `sock`, listening and non-blocking; at most `backlog` connections are accepted in a row. Stopped at first."""
        raise NotImplementedError

    def stream_owner(self, fd: int) -> Sink | None:
        """The sink of the stream, datagram socket or pipe that owns `fd`, if one does."""
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
        """Await that the file with descriptor `file` is sent from `offset` to its end, or `count` bytes of it (below 0: no limit).

        The operation counts in its attribute ``sent``, whatever becomes of it; that is its result too. Raises NotImplementedError
        where the system cannot send files through this socket.
        """
        raise NotImplementedError

    def op_accept(self, sock: Any) -> Any:
        """Await one connection: a non-blocking socket and its address."""
        raise NotImplementedError

    def op_connect(self, sock: Any, address: Any) -> Any:
        """Await the connection to `address`, which names no host that has still to be looked up. None."""
        raise NotImplementedError

    def add_reader(self, fd: int, handle: Any) -> int:
        """Run `handle` in each turn in which `fd` can be read from. Replaces, and cancels, the one before."""
        raise NotImplementedError

    def remove_reader(self, fd: int) -> bool:
        """Cancel the reader of `fd`. False where there is none."""
        raise NotImplementedError

    def add_writer(self, fd: int, handle: Any) -> int:
        """As `add_reader`, for writing."""
        raise NotImplementedError

    def remove_writer(self, fd: int) -> bool:
        """As `remove_reader`, for writing."""
        raise NotImplementedError

    def after_fork(self) -> int:
        """In the child of a fork: give back the driver's descriptors, and leave the parent's registrations as they are.

        The driver is closed from then on.
        """
        raise NotImplementedError

    def close(self) -> int:
        """Forget every descriptor and give back the driver's own. Sockets stay open: they belong to their owners."""
        raise NotImplementedError
