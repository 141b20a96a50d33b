cimport cython
from cpython.pythread cimport (
    NOWAIT_LOCK, WAIT_LOCK, PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock, PyThread_type_lock
)

@cython.final
cdef class Guard:
    cdef PyThread_type_lock lock
    cpdef int acquire(self) except -1
    cpdef int release(self) except -1
