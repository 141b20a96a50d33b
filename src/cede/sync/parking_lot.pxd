cimport cython
from cede.core.task.awaitable cimport ENDED
from cede.core.native.call cimport CANCELLED, FINISHED, PENDING
from cede.core.task.future cimport Future
from cede.core.task.operation cimport OVER, StreamOperation, begin

cdef class Waiting(StreamOperation):
    cdef int stand(self, object waiter, CompiledParkingLot line) except -1
    cdef int stand_again(self, object waiter, CompiledParkingLot line) except -1
    @cython.locals(future=Future)
    cdef int check(self) except -1

cdef class CompiledParkingLot:
    cdef StreamOperation first
    cdef StreamOperation last
    cdef StreamOperation cursor
    cdef StreamOperation alive
    cdef readonly Py_ssize_t count
    cdef Py_ssize_t tickets
    cdef int add(self, StreamOperation operation) except -1
    cdef int drop(self, StreamOperation operation) except -1
    cdef int rearm(self, StreamOperation operation, object waiter) except -1
    @cython.locals(operation=StreamOperation)
    cdef bint wake_next(self) except -1
    @cython.locals(operation=StreamOperation)
    cdef bint wake_first(self) except -1
    cdef int wake_all(self) except -1
    cdef bint nobody_waits(self) except -1
    @cython.locals(operation=StreamOperation)
    cdef StreamOperation first_alive(self)
    @cython.locals(operation=StreamOperation, behind=StreamOperation)
    cdef int wake_of(self, object owner) except -1

cdef Py_ssize_t NOWHERE

@cython.locals(line=CompiledParkingLot)
cpdef int wake_one_of(object waiters) except -1
@cython.locals(future=Future)
cdef bint finish(object waiter) except -1
@cython.locals(future=Future)
cdef bint woken(object waiter) except -1
@cython.locals(future=Future)
cdef bint cancelled(object waiter) except -1
