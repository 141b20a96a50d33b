"""Streams and operations through the methods of the socket object.

The selector driver does everything this way. The epoll driver serves sockets this way that are not exactly `socket.socket`: a subclass
may override `recv` and `send`, and the driver calls its methods.
"""

from __future__ import annotations

import socket
from typing import Any

from cede.drivers import socket_operations
from cede.drivers.accepting import ListenAcceptor
from cede.drivers.contract import Acceptor, AcceptSink, DatagramChannel, Sink, Stream
from cede.drivers.portions import MOST_AT_ONCE, first_of
from cede.drivers.readiness import ReadinessDriver
from cede.drivers.selector.datagrams import MethodDatagrams
from cede.drivers.selector.pipes import PipeStream
from cede.drivers.sendfile import can_send_files, send_some

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.drivers.constants import READ, WRITE

RECEIVE_SIZE = 256 * 1024

HAS_SENDMSG = hasattr(socket.socket, "sendmsg")

INTERNET = (socket.AF_INET, socket.AF_INET6) if socket.has_ipv6 else (socket.AF_INET,)

WOULD_BLOCK = (BlockingIOError, InterruptedError)


class Room:
    """A buffer for one receive, which the streams of a driver share. `lent`: a stream is about to copy data out of it."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(RECEIVE_SIZE))
        self.lent = False


class MethodStream(Stream):
    """A stream over the socket's own methods.

    Data of a plain socket goes through `room`, which the streams of a driver share, into bytes of the exact size: `recv` would allocate
    the largest possible object for each message. On a subclass of socket the stream calls `recv`, which the subclass may have replaced.

    `receiving` is true from the system call until the stream calls the sink. A finalizer may run a turn by hand in between, which must
    receive nothing from this socket: the sink would get that before the earlier data.

    Uncompiled, a signal handler may raise between the two. The stream keeps received data in `kept` until the sink has it, and delivers it
    in the next run otherwise.
    """

    if not cython.compiled:
        kept: Any = None  # a list: bytes, or the number of bytes in the protocol's own buffer

    def __init__(self, driver: PortableDriver, sock: Any, sink: Sink) -> None:
        self.driver = driver
        self.sock = sock
        self.sink = sink
        self.fd = sock.fileno()
        self.wanted = 0
        self.armed = 0
        self.edge = False
        self.generation = 0
        self.closed = False
        self.resting = None
        self.receiving = False
        self.room = driver.receive_room() if type(sock) is socket.socket else None

    def resume(self) -> int:
        if not cython.compiled and self.kept:
            self.driver.kernel.call_soon(self.tell_kept)
        return 0 if self.closed else self.driver.set_interest(self, self.wanted | READ)

    def pause(self) -> int:
        return 0 if self.closed else self.driver.set_interest(self, self.wanted & ~READ)

    def want_writable(self, on: bool) -> int:
        if self.closed:
            return 0
        if on:
            return self.driver.set_interest(self, self.wanted | WRITE)
        if self.wanted & WRITE:
            self.driver.set_interest(self, self.wanted & ~WRITE)
            # There nearly always is room: a registration left armed would fire at once, and again in each turn.
            self.driver.apply_interest(self)
        return 0

    def fire(self, events: int) -> int:
        if not events & self.wanted:
            return self.driver.apply_interest(self)
        sink = self.sink
        if events & self.wanted & READ:
            if not cython.compiled:
                self.receive_safely(sink)
            elif sink.buffered:
                self.receive_into(sink)
            else:
                self.receive(sink)
        if events & self.wanted & WRITE:
            sink.writable()
        return 0

    if not cython.compiled:

        def receive_safely(self, sink: Sink) -> int:
            """Receive, and have the next run deliver what an interrupt leaves undelivered."""
            if self.receiving:
                return 0
            if self.kept:
                return self.tell_kept()
            try:
                if sink.buffered:
                    return self.receive_into(sink)
                return self.receive(sink)
            except (KeyboardInterrupt, SystemExit):
                if self.kept:
                    self.driver.kernel.call_soon(self.tell_kept)
                raise

        def tell_kept(self) -> int:
            sink = self.owner()
            if not self.kept or self.closed or sink is None:
                return 0
            found = self.kept[0]
            if found and not self.wanted & READ:
                return 0  # it stays kept while reading is paused
            return self.tell_count(sink, found) if type(found) is int else self.tell_data(sink, found)

    # The socket's methods may be user code: check what they have done before calling the sink.

    def receive(self, sink: Sink) -> int:
        if self.receiving:
            return 0
        if self.driver.kernel._announced_task is not None:
            self.driver.kernel.enter_callback()  # before anything is received: up to Python 3.11 this may run user code
            if not self.wanted & READ:
                return 0
        room = self.room
        if not cython.compiled:
            kept: list[Any] = []
            self.kept = kept  # not earlier: a turn run by hand has a list of its own
        self.receiving = True
        try:
            if room is None or room.lent:
                if cython.compiled:
                    data = self.sock.recv(RECEIVE_SIZE)
                else:
                    kept.extend(map(self.sock.recv, (RECEIVE_SIZE,)))
                    data = kept[0]
            else:
                room.lent = True
                try:
                    if cython.compiled:
                        count = self.sock.recv_into(room.view)
                        data = room.view[:count].tobytes()
                    else:
                        data = self.receive_in_room(room.view, kept)
                finally:
                    room.lent = False
        except WOULD_BLOCK:
            return 0
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return 0 if self.closed else sink.read_failed(error)
        finally:
            self.receiving = False
        return self.tell_data(sink, data)

    if not cython.compiled:

        def receive_in_room(self, view: memoryview, kept: list[Any]) -> bytes:
            """Receive into the shared memory, and copy the data to `kept` as bytes, even after an interrupt."""
            counts: list[int] = []
            try:
                counts.extend(map(self.sock.recv_into, (view,)))
                kept.append(view[: counts[0]].tobytes())
            except (KeyboardInterrupt, SystemExit):
                if counts and not kept:
                    kept.append(view[: counts[0]].tobytes())
                raise
            return kept[0]  # type: ignore[no-any-return]

    def tell_data(self, sink: Sink, data: bytes) -> int:
        if self.closed:
            return 0
        kept: Any = None if cython.compiled else self.kept
        if data:
            self.driver.acted = True  # a sender on this loop may have room again; and there may be more data, or the end
            sink.received(data)
        else:
            self.pause()
            sink.eof()
        if not cython.compiled and self.kept is kept:
            self.kept = None
        return 0

    def receive_into(self, sink: Sink) -> int:
        if self.receiving:
            return 0
        buffer = sink.get_buffer()
        if buffer is None:
            return 0
        if not cython.compiled:
            kept: list[Any] = []
            self.kept = kept
        self.receiving = True
        try:
            if cython.compiled:
                count = self.sock.recv_into(buffer)
            else:
                kept.extend(map(self.sock.recv_into, (buffer,)))
                count = kept[0]
        except WOULD_BLOCK:
            return 0
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return 0 if self.closed else sink.read_failed(error)
        finally:
            self.receiving = False
        if self.closed:
            return 0
        if not count and not memoryview(buffer).nbytes:
            return sink.read_failed(RuntimeError("get_buffer() returned an empty buffer"))
        buffer = None
        return self.tell_count(sink, count)

    def tell_count(self, sink: Sink, count: int) -> int:
        kept: Any = None if cython.compiled else self.kept
        if count:
            self.driver.acted = True
            sink.buffer_updated(count)
        else:
            self.pause()
            sink.eof()
        if not cython.compiled and self.kept is kept:
            self.kept = None
        return 0

    def write(self, data: Any, start: int) -> int:
        self.driver.acted = True
        try:
            if start or len(data) > MOST_AT_ONCE:
                data = memoryview(data)[start : start + MOST_AT_ONCE]
            return self.sock.send(data)  # type: ignore[no-any-return]
        except WOULD_BLOCK:
            return 0

    def writev(self, buffers: list[bytes]) -> int:
        self.driver.acted = True
        try:
            if HAS_SENDMSG:
                return self.sock.sendmsg(first_of(buffers))  # type: ignore[no-any-return]
            return self.sock.send(memoryview(buffers[0])[:MOST_AT_ONCE])  # type: ignore[no-any-return]
        except WOULD_BLOCK:
            return 0

    def send_file(self, file: int, offset: int, count: int) -> int:
        if not can_send_files(self.sock):
            raise NotImplementedError("the system sends no files through a socket of this kind")
        self.driver.acted = True
        return send_some(self.sock.fileno(), file, offset, count)

    def shutdown_write(self) -> int:
        self.driver.acted = True
        self.sock.shutdown(socket.SHUT_WR)
        return 0

    def close(self) -> int:
        if not self.closed:
            self.closed = True
            sink = self.sink
            try:
                self.driver.remove(self, self.sock.fileno() == self.fd)
            finally:
                self.sink = self.resting = None  # break the cycle between the two
                try:
                    self.sock.close()
                except (KeyboardInterrupt, SystemExit):
                    self.sock.close()  # a signal handler has raised inside `close`
                    raise
            del sink  # its finalizer may run user code, so it goes last
        return 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self.closed else 'open'} fd={self.fd}>"


class PortableDriver(ReadinessDriver):
    """Implements the driver's contract with socket methods; a subclass implements `wait`."""

    if not cython.compiled:
        room: Any = None

    def receive_room(self) -> Any:
        if self.room is None:
            self.room = Room()
        return self.room

    def open_stream(self, sock: Any, sink: Sink) -> Stream:
        stream = MethodStream(self, sock, sink)
        if sock.family in INTERNET:
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                pass  # not TCP, or not connected any more: the next operation will show that
        self.add(stream)
        return stream

    def open_datagrams(self, sock: Any, sink: Sink) -> DatagramChannel:
        channel = MethodDatagrams(self, sock, sink)
        self.add(channel)
        return channel

    def open_pipe(self, pipe: Any, sink: Sink, reading: bool) -> Stream:
        stream = PipeStream(self, pipe, sink, reading)
        self.add(stream)
        return stream

    def open_acceptor(self, sock: Any, sink: AcceptSink, backlog: int) -> Acceptor:
        acceptor = ListenAcceptor(self, sock, sink, backlog)
        self.add(acceptor)
        return acceptor

    def op_recv(self, sock: Any, count: int) -> Any:
        return socket_operations.Receive(self, sock, count)

    def op_recv_into(self, sock: Any, buffer: Any) -> Any:
        return socket_operations.ReceiveInto(self, sock, buffer)

    def op_recvfrom(self, sock: Any, count: int) -> Any:
        return socket_operations.ReceiveFrom(self, sock, count)

    def op_recvfrom_into(self, sock: Any, buffer: Any, count: int) -> Any:
        return socket_operations.ReceiveFromInto(self, sock, buffer, count)

    def op_sendall(self, sock: Any, data: Any) -> Any:
        return socket_operations.SendAll(self, sock, data)

    def op_sendto(self, sock: Any, data: Any, address: Any) -> Any:
        return socket_operations.SendTo(self, sock, data, address)

    def op_sendfile(self, sock: Any, file: int, offset: int, count: int) -> Any:
        if not can_send_files(sock):
            raise NotImplementedError("the system sends no files through a socket of this kind")
        return socket_operations.SendFile(self, sock, file, offset, count)

    def op_accept(self, sock: Any) -> Any:
        return socket_operations.Accept(self, sock)

    def op_connect(self, sock: Any, address: Any) -> Any:
        return socket_operations.Connect(self, sock, address)
