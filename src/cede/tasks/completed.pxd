cimport cython
from cede.core.scheduler.coop cimport door
from cede.core.task.awaitable cimport ENDED

cdef extern from "awaitable.h":
    int install_iternext "cede_install_iternext"(object kind, void *advance, void *value, void *may_give_way, void *fair) except -1

@cython.trashcan(True)
cdef class Instant:
    cdef object value
    cdef int begin(self) except -1
    cdef bint may_give_way(self) noexcept

@cython.locals(made=Instant)
cpdef Instant instant(object value)
cdef Instant NOTHING
cdef int advance_of(Instant made) except -1
cdef object value_of(Instant made)
cdef bint gives_way(Instant made) noexcept
