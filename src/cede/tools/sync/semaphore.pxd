cimport cython
from cede.core.awaitable cimport ENDED
from cede.core.call cimport defined_in_python
from cede.tools.operation cimport begin
from cede.tools.sync.lined cimport Lined
from cede.tools.sync.waiters cimport Waiting, woken

cdef extern from "spare.h":
    object take_spare "cede_take_spare"(int kind)
    void keep_spare "cede_keep_spare"(int kind, object operation)

cdef class TakePermit(Waiting):
    @cython.locals(semaphore=Semaphore)
    cdef int step(self) except -1
    @cython.locals(semaphore=Semaphore)
    cdef int release(self) except -1

cdef class Semaphore(Lined):
    cdef public object _value
    cdef object kept(self)
    cdef bint closed(self) except -1
    cdef int give_back(self) except -1
    cdef bint wake_next(self) except -1
    cdef int hand_out(self) except -1

cdef class BoundedSemaphore(Semaphore):
    cdef public object _bound_value
    cdef object kept(self)
    cdef int give_back(self) except -1

cdef object taking(Semaphore semaphore, object result)
