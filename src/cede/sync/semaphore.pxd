cimport cython
from cede.core.task.awaitable cimport ENDED
from cede.core.native.call cimport defined_in_python
from cede.core.task.operation cimport begin
from cede.sync.waitable cimport Waitable
from cede.sync.parking_lot cimport Waiting, woken

cdef extern from "objects.h":
    object take_spare "cede_take_spare"(int kind)
    void keep_spare "cede_keep_spare"(int kind, object operation)

cdef class TakePermit(Waiting):
    @cython.locals(semaphore=Semaphore)
    cdef int step(self) except -1
    @cython.locals(semaphore=Semaphore)
    cdef int release(self) except -1

cdef class Semaphore(Waitable):
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
