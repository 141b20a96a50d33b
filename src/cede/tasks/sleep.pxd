cimport cython
from cede.core.task.awaitable cimport ENDED
from cede.core.scheduler.task_kernel cimport TaskKernel
from cede.core.scheduler.waking_timer cimport WakingTimer, set_waking_timer
from cede.core.task.operation cimport StreamOperation, begin, wake

cdef extern from "methods.h":
    object loop_function "cede_loop_function"(object general, object running_loop, object module)

cdef class Sleep(StreamOperation):
    cdef bint may_give_way(self) noexcept
    @cython.locals(kernel=TaskKernel, timer=WakingTimer, seconds=double)
    cdef int arm(self, object delay) except -1
    cdef int step(self) except -1
    cdef int release(self) except -1
