cimport cython
from cede.core.scheduler.coop cimport door

cdef extern from "awaitable.h":
    int install_iternext "cede_install_iternext"(object kind, void *advance, void *value, void *may_give_way, void *fair) except -1
    int install_await "cede_install_await"(object kind, void *advance, void *value, void *may_give_way, void *fair) except -1
    enum:
        ENDED "CEDE_ENDED"
        SUSPENDED "CEDE_SUSPENDED"
        FAILED "CEDE_FAILED"

@cython.trashcan(True)
cdef class Operation:
    cdef object value
    cdef int advance(self) except -1
    cdef int abandon(self) except -1
    cdef bint may_give_way(self) noexcept

cdef int _advance(Operation operation) except -1
cdef object _value(Operation operation)
cdef bint _may_give_way(Operation operation) noexcept
