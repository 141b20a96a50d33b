from cede.core.attributed cimport Attributed
from cede.core.call cimport is_this_thread
from cede.core.spawn cimport Spawner

cdef class LoopBound(Attributed):
    cdef object loop
    cdef Spawner kernel
    cdef object bound_loop(self)
    cdef object new_waiter(self)
    cdef int bind(self, object loop) except -1
