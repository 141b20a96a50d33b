from cede.core.task.awaitable cimport ENDED, Operation

cdef class Done(Operation):
    cdef int advance(self) except -1

cdef class Passing(Done):
    cdef bint may_give_way(self) noexcept
