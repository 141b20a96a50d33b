cimport cython
from cede.core.awaitable cimport ENDED
from cede.core.future cimport Future
from cede.core.kernel cimport Kernel
from cede.core.spawn cimport Spawner
from cede.core.timers cimport TimerHandle
from cede.tools.operation cimport StreamOperation, begin, wake

cdef extern from "methods.h":
    object loop_function "cede_loop_function"(object general, object running_loop, object module)

cdef class Sleep(StreamOperation):
    cdef bint may_give_way(self) noexcept
    @cython.locals(kernel=Spawner, timer=SleepTimer, seconds=double)
    cdef int arm(self, object delay) except -1
    cdef int step(self) except -1
    cdef int release(self) except -1

cdef class SleepTimer(TimerHandle):
    cdef Future sleeper
