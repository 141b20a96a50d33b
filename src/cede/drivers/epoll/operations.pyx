"""Socket operations of the native driver, on plain sockets; see `socket_operations` for what holds of all operations."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromObject

from cede.drivers.epoll.waiter cimport EpollWaiter, os_error
from cede.drivers.socket_operations cimport BLOCKED, ENDED, FAILED, SUSPENDED, Connect, SocketOperation
from cede.drivers.readiness cimport Watch
from cede.drivers.epoll.sys_epoll cimport *

cdef extern from "sys_datagram.h":
    int outcome_of "cede_connected"(int fd) noexcept


cdef class NativeOperation(SocketOperation):
    """An operation on a plain socket."""

    cdef int number(self) except -2:
        return socket_number(self.sock)

    cdef int prepare(self) except -1:
        cdef int fd = socket_number(self.sock)
        self.fd = fd
        if 0 <= fd < self.epoll.capacity and self.epoll.table[fd] != NULL and type(<object>self.epoll.table[fd]) is not Watch:
            return SocketOperation.prepare(self)
        return 0

    cdef int failed(self, int code) except -1:
        if would_block(code):
            return BLOCKED
        self.value = os_error(code)
        return FAILED


@cython.final
cdef class NativeReceive(NativeOperation):
    """sock_recv"""

    cdef int attempt(self) except -1:
        cdef Py_ssize_t count
        cdef int fd = socket_number(self.sock)
        # A stream may return less than was asked for; a message comes whole, and a Unix one may be as large as its sender's buffer.
        if self.count > SCRATCH and not is_stream(fd):
            return self.receive_message(fd)
        if not make_reserve(&self.epoll.reserve):
            raise MemoryError()
        count = 0
        if self.count:  # 0 bytes are there at once, whatever the system says
            count = c_recv(fd, self.epoll.scratch, min(self.count, SCRATCH), MSG_DONTWAIT)
        if count < 0:
            return self.failed(errno_now)
        self.value = received(&self.epoll.reserve, self.epoll.scratch, count)
        return ENDED

    cdef int receive_message(self, int fd) except -1:
        """Receive a message that may be larger than `scratch`: allocate its buffer first."""
        cdef Py_ssize_t count = c_recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT)
        if count < 0:
            return self.failed(errno_now)
        # Not every kind of socket reports the size: then allocate `count` bytes.
        room = PyBytes_FromStringAndSize(NULL, min(count, self.count) if count else self.count)
        count = c_recv(fd, PyBytes_AS_STRING(room), PyBytes_GET_SIZE(room), MSG_DONTWAIT)
        if count < 0:
            return self.failed(errno_now)
        self.value = room if count == PyBytes_GET_SIZE(room) else room[:count]
        return ENDED


@cython.final
cdef class NativeReceiveInto(NativeOperation):
    """sock_recv_into"""

    cdef int attempt(self) except -1:
        cdef Py_buffer view
        cdef Py_ssize_t count
        cdef int code
        PyObject_GetBuffer(self.buffer, &view, PyBUF_WRITABLE)
        count = 0
        code = 0
        if view.len:
            count = c_recv(socket_number(self.sock), view.buf, view.len, MSG_DONTWAIT)
            code = errno_now
        PyBuffer_Release(&view)
        if count < 0:
            return self.failed(code)
        self.value = count
        return ENDED


@cython.final
cdef class NativeSendAll(NativeOperation):
    """sock_sendall"""

    cdef int advance(self) except -1:
        cdef int outcome = FAILED
        try:
            outcome = SocketOperation.advance(self)
        finally:
            if outcome != SUSPENDED:
                self.data = None  # release the export: the owner may resize the buffer again
        return outcome

    cdef int abandon(self) except -1:
        self.data = None
        return SocketOperation.abandon(self)

    cdef int attempt(self) except -1:
        cdef Py_buffer view
        cdef Py_ssize_t count
        data = self.data  # keep a reference: another thread may run during `send`, and abandon the operation
        if PyBytes_CheckExact(data):
            count = self.send_from(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        else:
            if not self.exported:
                # Export the buffer from here to the end: resizing it meanwhile raises BufferError, and `sent` stays within its size.
                data = PyMemoryView_FromObject(data)
                self.exported = True
                self.data = data
            PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
            count = self.send_from(<char *>view.buf, view.len)
            PyBuffer_Release(&view)
        if count < 0:
            return self.failed(<int>-count)
        if count == 0:
            self.value = None
            return ENDED
        return self.give_way() if self.enough else BLOCKED

    cdef Py_ssize_t send_from(self, const char *data, Py_ssize_t size) noexcept:
        """Send until the socket has no more room. Returns how much is left, or the negated errno.

        With edges, no event comes while there is room. If the socket has room for IN_A_ROW bytes, stop and set `enough`, to give way.
        """
        cdef Py_ssize_t count, in_a_row = 0
        self.enough = False
        while True:
            # Ask for the number each time: another thread may have closed the socket during the last call.
            count = send_some(socket_number(self.sock), data + self.sent, min(size - self.sent, AT_ONCE))
            if count < 0:
                return count
            self.sent += count
            if count == 0 or self.sent >= size:
                return size - self.sent
            in_a_row += count
            if in_a_row >= IN_A_ROW:
                self.enough = True
                return size - self.sent


@cython.final
cdef class NativeConnect(Connect):
    """sock_connect"""

    cdef int look(self) except -1:
        cdef int outcome = outcome_of(socket_number(self.sock))
        if outcome > 0:
            return BLOCKED
        if outcome < 0:
            return self.refused(-outcome)
        self.value = None
        return ENDED
