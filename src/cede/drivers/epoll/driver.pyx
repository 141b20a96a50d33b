"""The native driver: Linux epoll, system calls from C. `waiter` polls; this module opens and serves the channels."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from libc.string cimport memcpy, memset

from cede.drivers.contract cimport READ, WRITE, Acceptor, DatagramChannel, Sink, Stream
from cede.drivers.epoll.accept cimport can_accept, new_acceptor
from cede.drivers.epoll.address cimport address_of_other_end
from cede.drivers.epoll.datagrams cimport DatagramBatch, new_datagrams, serves
from cede.drivers.epoll.operations cimport NativeConnect, NativeReceive, NativeReceiveInto, NativeSendAll
from cede.drivers.epoll.pipe cimport new_pipe
from cede.drivers.epoll.waiter cimport EpollWaiter, native, os_error, plain_socket
from cede.drivers.selector.streams cimport PortableDriver
from cede.drivers.epoll.sys_epoll cimport *

from cede.core.task.sealed import take_door
from cede.drivers.epoll.address import InternetAddress
from cede.drivers.sendfile import send_some as send_some_of_file

cdef extern from "sys_datagram.h":
    object own_end "cede_own_end"(int fd)


cdef class EpollDriver(EpollWaiter):
    """Serves pipes, and the streams, datagrams and operations of plain sockets, natively; other sockets through their methods."""

    cdef DatagramBatch batch  # made for the first datagram socket

    cpdef Stream open_stream(self, object sock, Sink sink):
        cdef EpollStream stream
        if not native or type(sock) is not plain_socket:
            return PortableDriver.open_stream(self, sock, sink)
        stream = EpollStream.__new__(EpollStream)
        stream.driver = self
        stream.sock = sock
        stream.sink = sink
        stream.fd = socket_number(sock)
        self.add(stream)
        set_nodelay(stream.fd)  # a Unix socket refuses, and does not need it
        return stream

    cpdef Acceptor open_acceptor(self, object sock, object sink, int backlog):
        if not native or not can_accept(sock):
            return PortableDriver.open_acceptor(self, sock, sink, backlog)
        acceptor = new_acceptor(self, sock, sink, backlog)
        self.add(acceptor)
        return acceptor

    cpdef DatagramChannel open_datagrams(self, object sock, Sink sink):
        if not serves(sock):
            return PortableDriver.open_datagrams(self, sock, sink)
        if self.batch is None:
            self.batch = DatagramBatch()
        channel = new_datagrams(self, sock, sink, self.batch)
        self.add(channel)
        return channel

    cpdef Stream open_pipe(self, object pipe, Sink sink, bint reading):
        stream = new_pipe(self, pipe, sink, reading)
        self.add(stream)
        return stream

    cpdef object op_recv(self, object sock, Py_ssize_t count):
        cdef NativeReceive operation
        if not native or type(sock) is not plain_socket:
            return PortableDriver.op_recv(self, sock, count)
        if count < 0:
            raise ValueError(f"sock_recv(): nbytes must not be negative, got {count}")
        operation = NativeReceive.__new__(NativeReceive)
        operation.driver = operation.epoll = self
        operation.sock = sock
        operation.fd = -2
        operation.direction = READ
        operation.count = count
        return operation

    cpdef object op_recv_into(self, object sock, object buffer):
        cdef NativeReceiveInto operation
        if not native or type(sock) is not plain_socket:
            return PortableDriver.op_recv_into(self, sock, buffer)
        operation = NativeReceiveInto.__new__(NativeReceiveInto)
        operation.driver = operation.epoll = self
        operation.sock = sock
        operation.fd = -2
        operation.direction = READ
        operation.buffer = buffer
        return operation

    cpdef object op_sendall(self, object sock, object data):
        cdef NativeSendAll operation
        if not native or type(sock) is not plain_socket:
            return PortableDriver.op_sendall(self, sock, data)
        operation = NativeSendAll.__new__(NativeSendAll)
        operation.driver = operation.epoll = self
        operation.sock = sock
        operation.fd = -2
        operation.direction = WRITE
        operation.data = data
        return operation

    cpdef object op_connect(self, object sock, object address):
        if not native or type(sock) is not plain_socket:
            return PortableDriver.op_connect(self, sock, address)
        return NativeConnect(self, sock, address)


@cython.final
cdef class EpollStream(Stream):
    """A stream over a plain socket."""

    cdef EpollDriver driver
    cdef bint receiving  # a buffer is not released yet: a turn run by hand must receive nothing now

    cdef int check(self) except -1:
        """Raise EBADF if somebody has closed the socket behind the driver's back."""
        if socket_number(self.sock) != self.fd or self.closed:
            raise os_error(EBADF)
        return 0

    cpdef int resume(self) except -1:
        return 0 if self.closed else self.driver.set_interest(self, self.wanted | READ)

    cpdef int pause(self) except -1:
        return 0 if self.closed else self.driver.set_interest(self, self.wanted & ~READ)

    cpdef int want_writable(self, bint on) except -1:
        if self.closed:
            return 0
        if on:
            return self.driver.set_interest(self, self.wanted | WRITE)
        if self.wanted & WRITE:
            self.driver.set_interest(self, self.wanted & ~WRITE)
            # There nearly always is room: a registration left armed would fire at once, and again in each turn.
            self.driver.apply_interest(self)
        return 0

    cdef int fire(self, int events) except -1:
        cdef int due = events & self.wanted
        cdef Sink sink = self.sink
        if not due:
            return self.driver.apply_interest(self)
        if due & READ:
            self.receive(sink)
        if due & self.wanted & WRITE:
            sink.writable()
        return 0

    cdef int receive(self, Sink sink) except -1:
        cdef Py_ssize_t count
        if self.driver.kernel._announced_task is not None:
            self.driver.kernel.enter_callback()  # before anything is received: up to Python 3.11 this may run user code
            if not self.wanted & READ:
                return 0
        if socket_number(self.sock) != self.fd:
            return self.driver.drop_stale(self)
        if sink.buffered:
            return self.receive_into(sink)
        if not make_reserve(&self.driver.reserve):
            return sink.read_failed(MemoryError())
        count = c_recv(self.fd, self.driver.scratch, SCRATCH, MSG_DONTWAIT)
        if count > 0:
            if self.driver.writing or count == SCRATCH:
                self.driver.acted = True  # a sender on this loop has room again, or there is more data
            return sink.received(message(&self.driver.last, &self.driver.reserve, self.driver.scratch, count))
        return self.nothing(sink, count, errno_now)

    cdef int receive_into(self, Sink sink) except -1:
        cdef Py_buffer view
        cdef Py_ssize_t count
        cdef int code
        if self.receiving:
            return 0
        buffer = sink.get_buffer()
        if buffer is None:
            return 0
        try:
            PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        except BaseException as error:
            return sink.read_failed(error)
        # Both calls may run user code, which may have closed the stream, so that its number is another's, or run a turn that has received.
        if socket_number(self.sock) != self.fd or not self.wanted & READ:
            PyBuffer_Release(&view)
            return 0
        if view.len == 0:
            PyBuffer_Release(&view)
            return sink.read_failed(RuntimeError("get_buffer() returned an empty buffer"))
        count = c_recv(self.fd, view.buf, view.len, MSG_DONTWAIT)
        code = errno_now
        # Release the buffer before the protocol runs, which may want to resize it. The release may run user code of the buffer.
        self.receiving = True
        PyBuffer_Release(&view)
        buffer = None
        self.receiving = False
        if count > 0:
            if self.driver.writing or count == view.len:
                self.driver.acted = True
            return sink.buffer_updated(count)
        return 0 if self.closed else self.nothing(sink, count, code)

    cdef int nothing(self, Sink sink, Py_ssize_t count, int code) except -1:
        if count == 0:
            self.pause()
            return sink.eof()
        if would_block(code):
            return 0
        return sink.read_failed(os_error(code))

    cpdef Py_ssize_t write(self, object data, Py_ssize_t start) except -2:
        cdef Py_buffer view
        cdef Py_ssize_t count
        if socket_number(self.sock) != self.fd:
            self.check()
        if start < 0 or start > len(data):
            raise ValueError(f"write(): start must be within the data, got {start}")
        self.driver.acted = True
        if PyBytes_CheckExact(data):
            count = send_some(self.fd, PyBytes_AS_STRING(data) + start, min(PyBytes_GET_SIZE(data) - start, MOST_AT_ONCE))
        else:
            PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
            count = send_some(self.fd, <char *>view.buf + start, min(view.len - start, MOST_AT_ONCE))
            PyBuffer_Release(&view)
        if count < 0:
            raise os_error(<int>-count)
        return count

    cpdef Py_ssize_t writev(self, list buffers) except -2:
        cdef iovec vectors[VECTORS]
        cdef Py_buffer views[16]
        cdef msghdr message
        cdef Py_ssize_t count, size
        cdef Py_ssize_t offered = 0, total = 0
        cdef int viewed = 0, code
        self.check()
        self.driver.acted = True
        while offered < len(buffers) and offered < VECTORS and total < MOST_AT_ONCE:
            offered = offer_bytes(buffers, vectors, offered, VECTORS, &total, MOST_AT_ONCE)
            if offered == len(buffers) or offered == VECTORS or total == MOST_AT_ONCE:
                break
            # Rarely more than one is no bytes object: the first, if a part of it was sent.
            if viewed == 16:
                break
            try:
                PyObject_GetBuffer(buffers[offered], &views[viewed], PyBUF_SIMPLE)
            except:
                while viewed:
                    viewed -= 1
                    PyBuffer_Release(&views[viewed])
                raise
            size = min(views[viewed].len, MOST_AT_ONCE - total)
            vectors[offered].iov_base = views[viewed].buf
            vectors[offered].iov_len = size
            viewed += 1
            total += size
            offered += 1
        if offered > 2 and total <= SCRATCH and total <= offered * SMALL_PIECE:
            count = self.send_joined(vectors, offered)
            while viewed:
                viewed -= 1
                PyBuffer_Release(&views[viewed])
            if count < 0:
                raise os_error(<int>-count)
            return count
        memset(&message, 0, sizeof(message))
        message.msg_iov = vectors
        message.msg_iovlen = offered
        if total >= LONG_SEND:
            owned = buffers[:offered]  # keep the buffers alive: another thread may empty the list while this one has released the GIL
            with nogil:
                count = c_sendmsg(self.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
                code = errno_now
            owned = None
        else:
            count = c_sendmsg(self.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
            code = errno_now
        while viewed:
            viewed -= 1
            PyBuffer_Release(&views[viewed])
        if count < 0:
            if would_block(code):
                return 0
            raise os_error(code)
        return count

    cdef Py_ssize_t send_joined(self, iovec *vectors, Py_ssize_t count) noexcept:
        """Join many small pieces and send them: copying costs less than the system's work for each vector."""
        cdef char *place = self.driver.scratch
        cdef Py_ssize_t index
        for index in range(count):
            memcpy(place, vectors[index].iov_base, vectors[index].iov_len)
            place += vectors[index].iov_len
        return send_some(self.fd, self.driver.scratch, place - self.driver.scratch)

    cpdef Py_ssize_t send_file(self, int file, long long offset, Py_ssize_t count) except -2:
        self.check()
        self.driver.acted = True
        return send_some_of_file(self.fd, file, offset, count)

    cpdef int shutdown_write(self) except -1:
        self.check()
        self.driver.acted = True
        if c_shutdown(self.fd, SHUT_WR) < 0:
            raise os_error(errno_now)
        return 0

    cpdef int close(self) except -1:
        if not self.closed:
            sink = self.sink
            self.closed = True
            self.driver.remove(self, socket_number(self.sock) == self.fd)
            self.sink = self.resting = None  # break the cycle between the two
            try:
                self.sock.close()
            except (KeyboardInterrupt, SystemExit):
                self.sock.close()  # a signal handler has raised inside `close`
                raise
            sink = None  # its finalizer may run user code, so it goes last
        return 0

    cdef object own_address(self):
        address = own_end(socket_number(self.sock))
        return self.sock.getsockname() if address is None else address

    cdef object peer_address(self):
        address = address_of_other_end(socket_number(self.sock))
        return self.sock.getpeername() if address is None else address

    def __repr__(self):
        return f"<{type(self).__name__} {'closed' if self.closed else 'open'} fd={self.fd}>"


# An object made by Python code, without a socket, would read a descriptor from a wrong place: forbid that.
for kind in (EpollStream, InternetAddress, NativeReceive, NativeReceiveInto, NativeSendAll):
    take_door(kind, True)
