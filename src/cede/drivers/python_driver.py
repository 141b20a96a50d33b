"""A driver that is written in Python: how it meets the loop, and the shells in which it stands.

The loop calls its driver by C where it is compiled, and so does a driver its transports; nothing there can be overridden in Python. So
who brings a driver of his own, ``EventLoop(driver=...)``, brings a plain object, and is given plain objects, the *doors*.

The driver's methods
--------------------
``attach(loop)``: serve this loop. Called once, first.
``wait(timeout)``: wait at most `timeout` seconds (below 0: for ever; 0: only look) until something happens, or `wake` is called, and
  tell it through the doors. Seconds are the clock's, if that is the program's too.
``wake()``: have `wait` return soon. Any thread, any number of times.
``close()``: the loop is closed.
``make_socket(family, kind, proto)``: a new non-blocking socket, or what stands for one: it has ``family``, ``type``, ``proto``,
  ``fileno()`` (-1 where there is no descriptor), ``close()``, ``setblocking()``, ``gettimeout()``, ``setsockopt()``, ``getsockname()``,
  ``getpeername()``, and, for servers, ``bind(address)`` and ``listen(backlog)``.
``connect(sock, address)``: an awaitable that is over when `sock` is connected. Raises OSError.
``open_stream(sock, door)``: take over a connected socket: an object with ``resume()``, ``pause()``, ``write(data)``,
  ``want_writable(on)``, ``shutdown_write()`` and ``close()``. `write` takes a bytes-like object, and returns how many bytes of it are
  taken, 0 where there is no room.
``open_acceptor(sock, door, backlog)``: accept connections: an object with ``start()``, ``stop()`` and ``close()``.

The rest may be left out:
``resolve(host, port, family, kind, proto, flags)``: what ``socket.getaddrinfo`` would say, or an awaitable of that, or None, for the
  system to be asked.
``open_datagrams(sock, door)``: an object with ``resume()``, ``pause()``, ``send(data, address)`` (1, or 0 where there is no room),
  ``want_writable(on)`` and ``close()``.
``open_pipe(pipe, door, reading)``: as `open_stream`, for one end of a pipe.
``add_reader(fd, handle)``, ``remove_reader(fd)``, ``add_writer(fd, handle)``, ``remove_writer(fd)``, and the operations on sockets of
  the program's: ``op_recv(sock, count)`` and the others of `cede.drivers.contract.Driver`, each of which returns an awaitable.
``after_fork()``: in the child of a fork.

The doors
---------
A door may be called at any time on the loop's thread, inside of `wait` or not. What comes through it is an event: it is told in its place
in the turn, in the order in which it came, never in the middle of whatever runs.

``deliver(data)``: bytes arrived. ``deliver_eof()``: the peer sends no more.
``deliver_error(error)``: nothing can be received any more, or no connection accepted.
``deliver_room()``: there is room again; asked for by ``want_writable(True)``. ``deliver_from(data, address)``: a datagram arrived.
``deliver_datagram_error(error)``: one did not. ``deliver_connection(sock, address)``: somebody has connected.

What comes while the stream is paused is kept until it is resumed, what comes after it was closed is dropped. A driver that keeps data
back while its stream is paused, as a real one does, spares memory, and its peers notice.
"""

from __future__ import annotations

from collections import deque
from threading import get_ident
from typing import Any

from cede.core.scheduler.kernel import Kernel
from cede.drivers.contract import Acceptor, AcceptSink, Channel, DatagramChannel, Driver, Sink, Stream

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.scheduler.ports import COLLECTED, NO_BATCH, TELLING
    from cede.drivers.constants import READ, WRITE

DRIVER_METHODS = ("attach", "wait", "wake", "close", "make_socket", "connect", "open_stream", "open_acceptor")
STREAM_METHODS = ("resume", "pause", "write", "want_writable", "shutdown_write", "close")
DATAGRAM_METHODS = ("resume", "pause", "send", "want_writable", "close")
ACCEPTOR_METHODS = ("start", "stop", "close")

if not cython.compiled:
    DATA, END, ERROR, ROOM, DATAGRAM, DATAGRAM_ERROR, CONNECTION = range(7)


def checked(answer: Any, methods: tuple[str, ...], asked: str) -> Any:
    """`answer`. Raises TypeError where it lacks one of the methods."""
    for method in methods:
        if not callable(getattr(answer, method, None)):
            raise TypeError(f"{asked} an object with the methods {', '.join(methods)}; {answer!r} has no {method}()")
    return answer


def shell_of(driver: Any) -> PythonDriver:
    """The shell for `driver`, a plain object. Raises TypeError for what is no driver."""
    return PythonDriver(checked(driver, DRIVER_METHODS, "driver must be None, a name, a driver of cede's, or"))


class Door:
    """Through which the program's channel tells what happens to it."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel

    def deliver(self, data: Any) -> None:
        """Bytes arrived."""
        data = bytes(data)
        if data:
            self.channel.put(DATA, data, None)

    def deliver_eof(self) -> None:
        """The peer sends no more."""
        self.channel.put(END, None, None)

    def deliver_error(self, error: BaseException) -> None:
        """Nothing can be received, or accepted."""
        if not isinstance(error, BaseException):
            raise TypeError(f"deliver_error(): error must be an exception, got {error!r}")
        self.channel.put(ERROR, error, None)

    def deliver_room(self) -> None:
        """What is written is taken again."""
        self.channel.put(ROOM, None, None)

    def deliver_from(self, data: Any, address: Any) -> None:
        """A datagram arrived."""
        self.channel.put(DATAGRAM, bytes(data), address)

    def deliver_datagram_error(self, error: BaseException) -> None:
        """A datagram did not arrive."""
        if not isinstance(error, OSError):
            raise TypeError(f"deliver_datagram_error(): error must be an OSError, got {error!r}")
        self.channel.put(DATAGRAM_ERROR, error, None)

    def deliver_connection(self, sock: Any, address: Any) -> None:
        """Somebody has connected."""
        self.channel.put(CONNECTION, sock, address)


class PythonStream(Stream):
    """A stream, or one end of a pipe, of the program's driver."""

    if not cython.compiled:
        kept: Any = None  # see the transports

    def __init__(self, driver: PythonDriver, sock: Any, sink: Sink) -> None:
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
        self.inner: Any = None
        self.waiting: Any = deque()  # what came and is not told

    def put(self, kind: int, value: Any, address: Any) -> None:
        """Something came through the door."""
        self.driver.check_thread()
        if self.closed:
            return
        if kind == ROOM:
            self.driver.record(self, ROOM, None, None)
        elif kind in (DATA, END, ERROR):
            self.waiting.append((kind, value))
            if self.wanted & READ:
                self.driver.record(self, DATA, None, None)
        else:
            raise TypeError("a stream is told of data, of its end, of errors and of room")

    def tell(self, kind: int, value: Any, address: Any) -> int:
        sink = self.sink
        if self.closed or sink is None:
            return 0
        if kind == ROOM:
            return sink.writable() if self.wanted & WRITE else 0
        if not self.wanted & READ or not self.waiting:
            return 0
        came = self.waiting[0]
        if came[0] == DATA:
            if sink.buffered:
                return self.tell_into(sink)
            del self.waiting[0]
            return sink.received(came[1])
        del self.waiting[0]
        self.pause()
        return sink.eof() if came[0] == END else sink.read_failed(came[1])

    def tell_into(self, sink: Sink) -> int:
        """As much as the protocol's own buffer takes."""
        buffer = sink.get_buffer()
        if buffer is None or self.closed or not self.wanted & READ or not self.waiting or self.waiting[0][0] != DATA:
            return 0
        data = self.waiting[0][1]
        try:
            with memoryview(buffer) as whole, whole.cast("B") as room:
                count = min(len(data), len(room))
                room[:count] = data[:count]
            if not count:
                raise RuntimeError("get_buffer() returned an empty buffer")
        except (TypeError, ValueError, BufferError, RuntimeError) as error:
            return sink.read_failed(error)
        buffer = None
        if count == len(data):
            del self.waiting[0]
        else:
            self.waiting[0] = (DATA, data[count:])
            self.driver.record(self, DATA, None, None)
        return sink.buffer_updated(count)

    def want(self, mask: int) -> int:
        before, self.wanted = self.wanted, mask
        if mask and not before:
            self.hold_sink()
        elif not mask:
            self.let_sink_go()
        return 0

    def resume(self) -> int:
        if self.closed or self.wanted & READ:
            return 0
        self.want(self.wanted | READ)
        self.generation += 1  # what the poll brought for the time before is told by the next one
        for _ in range(len(self.waiting)):
            self.driver.record(self, DATA, None, None)
        self.inner.resume()
        return 0

    def pause(self) -> int:
        if self.closed:
            return 0
        if self.wanted & READ:
            self.inner.pause()
        if not self.closed:
            self.want(self.wanted & ~READ)
        return 0

    def want_writable(self, on: bool) -> int:
        if self.closed or bool(self.wanted & WRITE) == bool(on):
            return 0
        if on:
            self.want(self.wanted | WRITE)
            self.inner.want_writable(True)
        else:
            self.inner.want_writable(False)
            if not self.closed:
                self.want(self.wanted & ~WRITE)
        return 0

    def write(self, data: Any, start: int) -> int:
        if start:
            data = memoryview(data)[start:]
        size = len(data)
        taken = self.inner.write(data)
        if not isinstance(taken, int) or not 0 <= taken <= size:
            raise ValueError(f"write(data) of a driver's stream must return how many of the {size} bytes are taken, got {taken!r}")
        return taken

    def writev(self, buffers: list[bytes]) -> int:
        taken = 0
        for data in buffers.copy():
            count = self.write(data, 0)
            taken += count
            if count < len(data):
                break
        return taken

    def send_file(self, file: int, offset: int, count: int) -> int:
        raise NotImplementedError("a driver in Python sends no files: they are read, and written")

    def shutdown_write(self) -> int:
        self.inner.shutdown_write()
        return 0

    def close(self) -> int:
        if not self.closed:
            self.closed = True
            self.wanted = 0
            self.waiting.clear()
            sink, self.sink, self.resting = self.sink, None, None
            self.driver.forget(self)
            try:
                if self.inner is not None:
                    self.inner.close()
            finally:
                self.sock.close()
            del sink  # whose end may run code of the program's: here all is done
        return 0


class PythonDatagrams(DatagramChannel):
    """A datagram socket of the program's driver."""

    def __init__(self, driver: PythonDriver, sock: Any, sink: Sink) -> None:
        self.driver = driver
        self.sock = sock
        self.sink = sink
        self.fd = sock.fileno()
        self.wanted = 0
        self.armed = 0
        self.edge = False
        self.generation = 0
        self.closed = False
        self.telling = False
        self.held = False
        self.inner: Any = None
        self.waiting: Any = deque()

    def put(self, kind: int, value: Any, address: Any) -> None:
        """Something came through the door."""
        self.driver.check_thread()
        if self.closed:
            return
        if kind == ROOM:
            self.driver.record(self, ROOM, None, None)
        elif kind in (DATAGRAM, DATAGRAM_ERROR, ERROR):
            self.waiting.append((kind, value, address))
            if self.wanted & READ:
                self.driver.record(self, DATAGRAM, None, None)
        else:
            raise TypeError("a datagram socket is told of datagrams, of errors and of room")

    def tell(self, kind: int, value: Any, address: Any) -> int:
        sink = self.sink
        if self.closed or sink is None:
            return 0
        if kind == ROOM:
            return sink.writable() if self.wanted & WRITE else 0
        if not self.wanted & READ or not self.waiting:
            return 0
        came = self.waiting.popleft()
        if came[0] == DATAGRAM:
            return sink.received_from(came[1], came[2])
        if came[0] == DATAGRAM_ERROR:
            return sink.datagram_failed(came[1])
        return sink.read_failed(came[1])

    def resume(self) -> int:
        if not self.closed and not self.wanted & READ:
            self.wanted |= READ
            self.generation += 1
            for _ in range(len(self.waiting)):
                self.driver.record(self, DATAGRAM, None, None)
            self.inner.resume()
        return 0

    def pause(self) -> int:
        if not self.closed and self.wanted & READ:
            self.wanted &= ~READ
            self.inner.pause()
        return 0

    def send(self, data: Any, address: Any) -> int:
        taken = self.inner.send(data, address)
        if taken not in (0, 1):
            raise ValueError(f"send(data, address) of a driver's datagram socket must return 1, or 0 where there is no room, got {taken!r}")
        return int(taken)

    def target(self, address: Any) -> Any:
        return address

    def send_many(self, datagrams: list[tuple[bytes, Any]]) -> int:
        count = 0
        for data, address in datagrams.copy():
            try:
                if not self.send(data, address):
                    break
            except OSError:
                if not count:
                    raise
                break
            count += 1
        return count

    def want_writable(self, on: bool) -> int:
        if not self.closed and bool(self.wanted & WRITE) != bool(on):
            self.wanted ^= WRITE
            self.inner.want_writable(bool(on))
        return 0

    def close(self) -> int:
        if not self.closed:
            self.closed = True
            self.wanted = 0
            self.waiting.clear()
            sink, self.sink = self.sink, None
            self.driver.forget(self)
            try:
                if self.inner is not None:
                    self.inner.close()
            finally:
                self.sock.close()
            del sink
        return 0


class PythonAcceptor(Acceptor):
    """A listening socket of the program's driver."""

    def __init__(self, driver: PythonDriver, sock: Any, sink: AcceptSink) -> None:
        self.driver = driver
        self.sock = sock
        self.sink = sink
        self.fd = sock.fileno()
        self.wanted = 0
        self.armed = 0
        self.edge = False
        self.generation = 0
        self.closed = False
        self.inner: Any = None
        self.waiting: Any = deque()

    def put(self, kind: int, value: Any, address: Any) -> None:
        """Something came through the door."""
        self.driver.check_thread()
        if kind not in (CONNECTION, ERROR):
            raise TypeError("a listening socket is told of connections and of errors")
        if self.closed:
            if kind == CONNECTION:
                value.close()
            return
        self.waiting.append((kind, value, address))
        if self.wanted & READ:
            self.driver.record(self, kind, None, None)

    def tell(self, kind: int, value: Any, address: Any) -> int:
        if self.closed or not self.wanted & READ or not self.waiting:
            return 0
        came = self.waiting.popleft()
        if came[0] == ERROR:
            return self.sink.accept_failed(came[1])
        return self.sink.accepted(came[1], came[2])

    def start(self) -> int:
        if self.closed:
            raise RuntimeError("cannot accept connections: the listening socket is closed")
        if not self.wanted & READ:
            self.wanted = READ
            self.generation += 1
            for _ in range(len(self.waiting)):
                self.driver.record(self, CONNECTION, None, None)
            self.inner.start()
        return 0

    def stop(self) -> int:
        if not self.closed and self.wanted & READ:
            self.wanted = 0
            self.inner.stop()
        return 0

    def close(self) -> int:
        if not self.closed:
            self.stop()
            self.closed = True
            self.driver.forget(self)
            try:
                for came in self.waiting:
                    if came[0] == CONNECTION:
                        came[1].close()
                self.waiting.clear()
                if self.inner is not None:
                    self.inner.close()
            finally:
                self.sock.close()
        return 0


class PythonDriver(Driver):
    """The shell around the program's driver."""

    def __init__(self, driver: Any) -> None:
        # A poll is never left out: what the program's driver may have to tell nobody else can know.
        self.idle = False
        self.acted = True
        self.driver = driver
        self.kernel: Any = None
        self.channels: dict[int, Any] = {}  # those with a descriptor
        self.fresh: list[Any] = []  # events that the next poll brings
        self.rest: list[Any] = []  # of the batch, the oldest last
        self.polls = 0

    def ask(self, method: str) -> Any:
        """A method that a driver need not have."""
        found = getattr(self.driver, method, None)
        if found is None:
            raise NotImplementedError(f"{method}(): the loop's driver, {self.driver!r}, has no such method")
        return found

    def check_thread(self) -> int:
        """Raises RuntimeError where a door is opened on another thread than the loop's."""
        running = self.kernel._thread_id
        if running is not None and running != get_ident():
            raise RuntimeError("a door of a driver was used on another thread than the loop's: use loop.call_soon_threadsafe()")
        return 0

    # -- the turn

    def record(self, channel: Any, kind: int, value: Any, address: Any) -> int:
        self.fresh.append((channel, channel.generation, kind, value, address))
        return 0

    def wait(self, timeout: float) -> int:
        self.acted = True
        if self.fresh:
            timeout = 0.0
        self.asleep = timeout != 0.0
        try:
            self.driver.wait(timeout)
        finally:
            self.asleep = False
        if self.batch != NO_BATCH:
            return 0  # a turn was run meanwhile, by hand
        self.polls += 1
        if self.fresh:
            self.fresh.reverse()
            self.rest, self.fresh = self.fresh, []
        if self.rest or self.signals:
            self.batch = COLLECTED
        return len(self.rest)

    def tell(self) -> int:
        poll = self.polls
        self.batch = TELLING
        while self.polls == poll and (self.rest or self.heard):
            try:
                if self.heard:
                    self.tell_signals(b"")
                self.dispatch(poll)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                message = "Error in the driver while an event was served"
                self.kernel.call_exception_handler({"message": message, "exception": error})
        if self.polls == poll and self.batch == TELLING:
            self.batch = NO_BATCH
        return 0

    def dispatch(self, poll: int) -> int:
        kernel = self.kernel
        while True:
            kernel.end_step()
            if self.polls != poll or not self.rest:
                return 0
            channel, generation, kind, value, address = self.rest.pop()
            if channel.closed:
                continue
            if channel.generation != generation and kind != ROOM:
                continue  # paused and resumed since: recorded anew
            kernel.next_event()
            kernel.enter_callback()
            self.tell_one(channel, kind, value, address)

    def tell_one(self, channel: Channel, kind: int, value: Any, address: Any) -> int:
        if isinstance(channel, PythonStream):
            stream = channel
            return stream.tell(kind, value, address)
        if isinstance(channel, PythonAcceptor):
            acceptor = channel
            return acceptor.tell(kind, value, address)
        datagrams: Any = channel
        return self.tell_datagrams(datagrams, kind, value, address)

    def tell_datagrams(self, channel: PythonDatagrams, kind: int, value: Any, address: Any) -> int:
        return channel.tell(kind, value, address)

    def wake(self) -> None:
        self.driver.wake()

    # -- what the floors above ask

    def attach(self, kernel: Kernel) -> int:
        self.kernel = kernel
        self.driver.attach(kernel)
        return 0

    def wakeup_fd(self) -> int:
        return -1

    def make_socket(self, family: int, kind: int, proto: int) -> Any:
        return self.driver.make_socket(family, kind, proto)

    def resolve(self, host: Any, port: Any, family: int, kind: int, proto: int, flags: int) -> Any:
        asked = getattr(self.driver, "resolve", None)
        return None if asked is None else asked(host, port, family, kind, proto, flags)

    def enter(self, channel: Any) -> int:
        if channel.fd >= 0:
            if channel.fd in self.channels:
                raise RuntimeError(f"File descriptor {channel.fd} is used by {self.channels[channel.fd]!r}")
            self.channels[channel.fd] = channel
        return 0

    def forget(self, channel: Any) -> int:
        if self.channels.get(channel.fd) is channel:
            del self.channels[channel.fd]
        return 0

    def open_stream(self, sock: Any, sink: Sink) -> Stream:
        stream = PythonStream(self, sock, sink)
        self.enter(stream)
        try:
            stream.inner = checked(self.driver.open_stream(sock, Door(stream)), STREAM_METHODS, "driver.open_stream() must return")
        except BaseException:
            self.forget(stream)
            raise
        return stream

    def open_pipe(self, pipe: Any, sink: Sink, reading: bool) -> Stream:
        asked = self.ask("open_pipe")
        stream = PythonStream(self, pipe, sink)
        self.enter(stream)
        try:
            stream.inner = checked(asked(pipe, Door(stream), reading), STREAM_METHODS, "driver.open_pipe() must return")
        except BaseException:
            self.forget(stream)
            raise
        return stream

    def open_datagrams(self, sock: Any, sink: Sink) -> DatagramChannel:
        asked = self.ask("open_datagrams")
        channel = PythonDatagrams(self, sock, sink)
        self.enter(channel)
        try:
            channel.inner = checked(asked(sock, Door(channel)), DATAGRAM_METHODS, "driver.open_datagrams() must return")
        except BaseException:
            self.forget(channel)
            raise
        return channel

    def open_acceptor(self, sock: Any, sink: AcceptSink, backlog: int) -> Acceptor:
        acceptor = PythonAcceptor(self, sock, sink)
        self.enter(acceptor)
        try:
            inner = self.driver.open_acceptor(sock, Door(acceptor), backlog)
            acceptor.inner = checked(inner, ACCEPTOR_METHODS, "driver.open_acceptor() must return")
        except BaseException:
            self.forget(acceptor)
            raise
        return acceptor

    def stream_owner(self, fd: int) -> Any:
        channel = self.channels.get(fd)
        return channel.owner() if isinstance(channel, (Stream, DatagramChannel)) else None

    def op_recv(self, sock: Any, count: int) -> Any:
        return self.ask("op_recv")(sock, count)

    def op_recv_into(self, sock: Any, buffer: Any) -> Any:
        return self.ask("op_recv_into")(sock, buffer)

    def op_recvfrom(self, sock: Any, count: int) -> Any:
        return self.ask("op_recvfrom")(sock, count)

    def op_recvfrom_into(self, sock: Any, buffer: Any, count: int) -> Any:
        return self.ask("op_recvfrom_into")(sock, buffer, count)

    def op_sendall(self, sock: Any, data: Any) -> Any:
        return self.ask("op_sendall")(sock, data)

    def op_sendto(self, sock: Any, data: Any, address: Any) -> Any:
        return self.ask("op_sendto")(sock, data, address)

    def op_sendfile(self, sock: Any, file: int, offset: int, count: int) -> Any:
        return self.ask("op_sendfile")(sock, file, offset, count)

    def op_accept(self, sock: Any) -> Any:
        return self.ask("op_accept")(sock)

    def op_connect(self, sock: Any, address: Any) -> Any:
        return self.driver.connect(sock, address)

    def add_reader(self, fd: int, handle: Any) -> int:
        self.ask("add_reader")(fd, handle)
        return 0

    def remove_reader(self, fd: int) -> bool:
        return bool(self.ask("remove_reader")(fd)) if hasattr(self.driver, "remove_reader") else False

    def add_writer(self, fd: int, handle: Any) -> int:
        self.ask("add_writer")(fd, handle)
        return 0

    def remove_writer(self, fd: int) -> bool:
        return bool(self.ask("remove_writer")(fd)) if hasattr(self.driver, "remove_writer") else False

    def drop(self) -> int:
        self.fresh = []
        self.rest = []
        self.signals = self.heard = False
        self.batch = NO_BATCH
        self.channels.clear()
        return 0

    def after_fork(self) -> int:
        self.drop()
        asked = getattr(self.driver, "after_fork", None)
        if asked is not None:
            asked()
        return 0

    def close(self) -> int:
        self.drop()
        self.driver.close()
        return 0
