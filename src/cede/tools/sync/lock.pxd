cimport cython
from cede.core.awaitable cimport ENDED
from cede.core.call cimport defined_in_python
from cede.tools.operation cimport begin
from cede.tools.sync.lined cimport Lined
from cede.tools.sync.waiters cimport Waiting

cdef extern from "spare.h":
    object take_spare "cede_take_spare"(int kind)
    void keep_spare "cede_keep_spare"(int kind, object operation)

cdef class Acquire(Waiting):
    @cython.locals(lock=Lock)
    cdef int step(self) except -1
    @cython.locals(lock=Lock)
    cdef int release(self) except -1

cdef class Lock(Lined):
    cdef public bint _locked
    cdef object kept(self)
    cdef bint free(self) except -1
    cdef int let_go(self) except -1
    cdef int hand_on(self) except -1

cdef object acquiring(Lock lock, object result)
