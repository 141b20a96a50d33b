cimport cython
from cede.core.task.awaitable cimport ENDED, FAILED, SUSPENDED
from cede.core.scheduler.coop cimport door
from cede.core.native.call cimport FINISHED, PENDING
from cede.core.task.future cimport Future
from cede.core.scheduler.task_kernel cimport TaskKernel

cdef enum:
    FRESH = 0
    PARKED = 1
    OVER = 2

cdef extern from "awaitable.h":
    int install_iternext "cede_install_iternext"(object kind, void *advance, void *value, void *may_give_way, void *fair) except -1

@cython.trashcan(True)
cdef class StreamOperation:
    cdef int stage
    cdef Py_ssize_t number
    cdef Py_ssize_t mark
    cdef object owner
    cdef object argument
    cdef object waiter
    cdef object value
    cdef StreamOperation ahead
    cdef StreamOperation behind
    cdef int advance(self) except -1
    cdef int abandon(self) except -1
    cdef int step(self) except -1
    cdef int release(self) except -1
    cdef bint may_give_way(self) noexcept
    @cython.locals(future=Future)
    cdef int settle(self) except -1
    @cython.locals(future=Future)
    cdef int park(self, object waiter) except -1

cdef int advance_of(StreamOperation operation) except -1
cdef object value_of(StreamOperation operation)
cdef bint gives_way(StreamOperation operation) noexcept
cpdef StreamOperation begin(StreamOperation operation, object owner, object argument)
@cython.locals(spawner=TaskKernel)
cpdef object new_waiter(object loop, object subject)
@cython.locals(future=Future)
cpdef int wake(object waiter, object error) except -1
