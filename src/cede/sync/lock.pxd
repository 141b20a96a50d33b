cimport cython
from cede.core.task.awaitable cimport ENDED
from cede.core.native.call cimport defined_in_python
from cede.core.task.operation cimport begin
from cede.sync.waitable cimport Waitable
from cede.sync.parking_lot cimport Waiting

cdef extern from "objects.h":
    object take_spare "cede_take_spare"(int kind)
    void keep_spare "cede_keep_spare"(int kind, object operation)

cdef class Acquire(Waiting):
    @cython.locals(lock=Lock)
    cdef int step(self) except -1
    @cython.locals(lock=Lock)
    cdef int release(self) except -1

cdef class Lock(Waitable):
    cdef public bint _locked
    cdef object kept(self)
    cdef bint free(self) except -1
    cdef int let_go(self) except -1
    cdef int hand_on(self) except -1

cdef object acquiring(Lock lock, object result)
