from cede.core.task.attributed cimport Attributed
from cede.core.native.call cimport is_this_thread
from cede.core.scheduler.task_kernel cimport TaskKernel

cdef class LoopBound(Attributed):
    cdef object loop
    cdef TaskKernel kernel
    cdef object bound_loop(self)
    cdef object new_waiter(self)
    cdef int bind(self, object loop) except -1
