cimport cython
from cede.core.awaitable cimport ENDED, FAILED, SUSPENDED
from cede.core.call cimport defined_in_python
from cede.tools.operation cimport OVER, PARKED, begin
from cede.tools.sync.lined cimport Lined
from cede.tools.sync.lock cimport Lock, acquiring
from cede.tools.sync.waiters cimport Waiting, woken

cdef extern from "spare.h":
    object take_spare "cede_take_spare"(int kind)
    void keep_spare "cede_keep_spare"(int kind, object operation)

cdef class ConditionWait(Waiting):
    @cython.locals(condition=Condition, lock=Lock)
    cdef int step(self) except -1
    @cython.locals(condition=Condition, lock=Lock)
    cdef int relock(self) except -1
    @cython.locals(condition=Condition, lock=Lock)
    cdef int hold(self) except -1
    @cython.locals(condition=Condition, lock=Lock)
    cdef int interrupt(self, object error) except -1
    @cython.locals(condition=Condition, lock=Lock)
    cdef int release(self) except -1

cdef class Condition(Lined):
    cdef readonly object _lock
    @cython.locals(lock=Lock)
    cdef bint is_held(self) except -1
    @cython.locals(lock=Lock)
    cdef int let_go(self) except -1
    cdef int wake(self, object n) except -1
