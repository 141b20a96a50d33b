cimport cython
from cede.core.native.call cimport PENDING
from cede.core.task.future cimport Future
from cede.core.task.handle cimport creation_stack
from cede.core.scheduler.kernel cimport Kernel
from cede.core.scheduler.timers cimport TimerHandle

cdef extern from "objects.h":
    """
    CEDE_POOL(waking)
    """
    int pool_waking "cede_pool_waking"(object kind) except -1

cdef class WakingTimer(TimerHandle):
    cdef Future sleeper
    cdef object outcome
    cpdef cancel(self)

@cython.locals(timer=WakingTimer)
cdef WakingTimer set_waking_timer(Kernel kernel, double when, Future sleeper, object outcome, object callback)
