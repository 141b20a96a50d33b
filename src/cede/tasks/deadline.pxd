cimport cython
from cede.core.task.handle cimport creation_stack, report_failure
from cede.core.scheduler.kernel cimport Kernel
from cede.core.scheduler.task_kernel cimport TaskKernel
from cede.core.scheduler.timers cimport TimerHandle

cdef extern from "objects.h":
    """
    CEDE_POOL(deadline)
    """
    int pool_deadline "cede_pool_deadline"(object kind) except -1

cdef class DeadlineTimer(TimerHandle):
    cdef object limit

cpdef object set_deadline(object loop, double when, object limit, bint is_later)
@cython.locals(timer=DeadlineTimer)
cpdef object set_on_kernel(TaskKernel kernel, double when, object limit, bint is_later)
@cython.locals(own=DeadlineTimer)
cpdef int clear_deadline(object timer) except -1
