cimport cython
from cede.core.handle cimport creation_stack, report_failure
from cede.core.kernel cimport Kernel
from cede.core.spawn cimport Spawner
from cede.core.timers cimport TimerHandle

cdef extern from "pool.h":
    """
    CEDE_POOL(deadline)
    """
    int pool_deadline "cede_pool_deadline"(object kind) except -1

cdef class DeadlineTimer(TimerHandle):
    cdef object limit

cpdef object set_deadline(object loop, double when, object limit, bint is_later)
@cython.locals(timer=DeadlineTimer)
cpdef object set_on_kernel(Spawner kernel, double when, object limit, bint is_later)
@cython.locals(own=DeadlineTimer)
cpdef int clear_deadline(object timer) except -1
