cimport cython
from cede.core.task.awaitable cimport ENDED, FAILED, SUSPENDED, Operation
from cede.core.native.call cimport CANCELLED, PENDING
from cede.core.task.future cimport Future
from cede.drivers.contract cimport READ, WRITE
from cede.drivers.readiness cimport ReadinessDriver

cdef enum:
    BLOCKED = 3

cdef class SocketOperation(Operation):
    cdef ReadinessDriver driver
    cdef object sock
    cdef Future future
    cdef int fd
    cdef int direction
    @cython.locals(future=Future, outcome=int)
    cdef int advance(self) except -1
    cdef int prepare(self) except -1
    cdef int attempt(self) except -1
    @cython.locals(future=Future)
    cdef int suspend(self) except -1
    @cython.locals(future=Future)
    cdef int abandon(self) except -1
    cdef bint may_give_way(self) noexcept
    cdef int number(self) except -2
    @cython.locals(future=Future)
    cdef int give_way(self) except -1

cdef class Receive(SocketOperation):
    cdef Py_ssize_t count

cdef class ReceiveInto(SocketOperation):
    cdef object buffer

cdef class ReceiveFrom(SocketOperation):
    cdef Py_ssize_t count

cdef class ReceiveFromInto(SocketOperation):
    cdef object buffer
    cdef Py_ssize_t count

cdef class SendAll(SocketOperation):
    cdef object data
    cdef Py_ssize_t size
    cdef Py_ssize_t sent
    @cython.locals(outcome=int)
    cdef int advance(self) except -1
    @cython.locals(taken=Py_ssize_t, in_a_row=Py_ssize_t)
    cdef int attempt(self) except -1

cdef class SendFile(SocketOperation):
    cdef int file
    cdef long long offset
    cdef long long count
    cdef readonly long long sent
    @cython.locals(in_a_row=cython.longlong, left=cython.longlong, taken=cython.longlong)
    cdef int attempt(self) except -1

cdef class SendTo(SocketOperation):
    cdef object data
    cdef object address

cdef class Accept(SocketOperation):
    pass

cdef class Connect(SocketOperation):
    cdef object address
    cdef bint started
    cdef object timer
    cdef int begin_by_methods(self) except -1
    cdef int look(self) except -1
    cdef int refused(self, int code) except -1
    @cython.locals(future=Future)
    cdef int retry_later(self) except -1
