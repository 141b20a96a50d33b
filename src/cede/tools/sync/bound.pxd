from cede.core.attributed cimport Attributed

cdef class LoopBound(Attributed):
    cdef public object _loop
    cdef object bound_loop(self)
    cdef int bind(self, object loop) except -1
