cimport cython
from cede.core.handle cimport Handle

cdef extern from "pool.h":
    """
    CEDE_POOL(timer)
    """
    int pool_timer "cede_pool_timer"(object kind) except -1

cdef class Heap

cdef class TimerHandle(Handle):
    cdef public double _when
    cdef public bint _scheduled
    cdef long long _number
    cdef Py_ssize_t _position
    cdef Heap _heap

cdef class Heap:
    cdef list entries
    cdef long long count
    cdef Py_ssize_t size(self)
    cpdef list snapshot(self)
    @cython.locals(last=TimerHandle, at=Py_ssize_t)
    cdef int remove(self, TimerHandle timer) except -1
    cdef int push(self, TimerHandle timer) except -1
    cdef TimerHandle peek(self)
    @cython.locals(timer=TimerHandle)
    cdef TimerHandle pop(self)
    @cython.locals(start=Py_ssize_t, above=Py_ssize_t, entries=list, parent=TimerHandle)
    cdef bint rise(self, TimerHandle timer, Py_ssize_t at) except -1
    @cython.locals(entries=list, count=Py_ssize_t, below=Py_ssize_t, child=TimerHandle, other=TimerHandle)
    cdef int sink(self, TimerHandle timer, Py_ssize_t at) except -1
    @cython.locals(timer=TimerHandle)
    cdef int clear(self) except -1
