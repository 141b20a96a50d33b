cimport cython
from cpython.pythread cimport (
    NOWAIT_LOCK, WAIT_LOCK, PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_get_thread_ident,
    PyThread_release_lock, PyThread_type_lock
)

@cython.final
cdef class ThreadLock:
    cdef PyThread_type_lock lock
    cdef unsigned long owner
    cdef int depth
    @cython.locals(me="unsigned long")
    cpdef int acquire(self) except -1
    cpdef int release(self) except -1
    cpdef bint is_nested(self)
