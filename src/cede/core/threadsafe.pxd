from cede.core.handle cimport Handle

cdef class ThreadSafeHandle(Handle):
    cdef bint running
    cdef object ended
    cdef int _wait_until_ended(self) except -1
