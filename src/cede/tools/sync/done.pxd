from cede.core.awaitable cimport ENDED, Operation

cdef class Done(Operation):
    cdef int advance(self) except -1
