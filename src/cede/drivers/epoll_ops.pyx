"""Socket operations of the native driver, on plain sockets; see `ops` for what holds of all operations."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from cede.drivers.epoll_wait cimport EpollWaiter, os_error
from cede.drivers.ops cimport BLOCKED, ENDED, FAILED, Connect, SocketOperation
from cede.drivers.readiness cimport Watch
from cede.drivers.sys_epoll cimport MSG_DONTWAIT, SCRATCH, c_recv, errno_now, send_some, socket_number, would_block

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
        # A stream may give less than was asked for, a datagram must be given whole: 64 KiB is the most one can be.
        count = 0
        if self.count:  # nothing is there at once, whatever the system says
            count = c_recv(fd, self.epoll.scratch, min(self.count, SCRATCH), MSG_DONTWAIT)
        if count < 0:
            return self.failed(errno_now)
        self.value = PyBytes_FromStringAndSize(self.epoll.scratch, count)
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

    cdef int attempt(self) except -1:
        cdef Py_buffer view
        cdef Py_ssize_t count
        if PyBytes_CheckExact(self.data):
            count = self.send_from(PyBytes_AS_STRING(self.data), PyBytes_GET_SIZE(self.data))
        else:
            PyObject_GetBuffer(self.data, &view, PyBUF_SIMPLE)
            count = self.send_from(<char *>view.buf, view.len)
            PyBuffer_Release(&view)
        if count < 0:
            return self.failed(<int>-count)
        if count == 0:
            self.value = None
            return ENDED
        return BLOCKED

    cdef Py_ssize_t send_from(self, const char *data, Py_ssize_t size) noexcept:
        """How much is left when the socket has no more room, or the negated errno.

        It is asked until it says so: while there is room no edge comes.
        """
        cdef Py_ssize_t count
        cdef int fd = socket_number(self.sock)
        while True:
            count = send_some(fd, data + self.sent, size - self.sent)
            if count < 0:
                return count
            self.sent += count
            if count == 0 or self.sent >= size:
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
