cimport cython
from cede.core.task.awaitable cimport ENDED, FAILED, SUSPENDED
from cede.core.native.call cimport defined_in_python
from cede.core.task.operation cimport OVER, PARKED, begin
from cede.sync.waitable cimport Waitable
from cede.sync.lock cimport Lock, acquiring
from cede.sync.parking_lot cimport Waiting, woken

cdef extern from "objects.h":
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

cdef class Condition(Waitable):
    cdef readonly object _lock
    @cython.locals(lock=Lock)
    cdef bint is_held(self) except -1
    @cython.locals(lock=Lock)
    cdef int let_go(self) except -1
    cdef int wake(self, object n) except -1
