cimport cython
from cede.core.native.call cimport CANCELLED, FINISHED, PENDING, only_in_tuple
from cede.core.task.future cimport Future
from cede.core.scheduler.task_kernel cimport TaskKernel
from cede.core.task.task cimport Task
from cede.tasks.timeouts cimport task_on

cdef object CancelledError
cdef object get_running_loop
cdef object CoroutineType
cdef bint DONE_COUNTS_AT_ONCE

cdef class Gathering(Future):
    cdef list children
    cdef Py_ssize_t left
    cdef Py_ssize_t by_callback
    cdef object last
    cdef bint exceptions_are_results
    cdef bint cancel_requested
    cdef readonly object awaiting_task
    @cython.locals(own=Future)
    cdef int watch(self, object child) except -1
    @cython.locals(child=Future)
    cdef int notice(self, object future) except -1
    cdef int run_ready(self) except -1
    cdef int count(self, object child) except -1
    @cython.locals(own=Task)
    cdef int end(self) except -1

cdef object result_of(object child)

@cython.locals(gathering=Gathering, kernel=TaskKernel, task=Task, alone=bint, made=dict, children=list, early=list)
cpdef object gather_all(tuple coros_or_futures, bint return_exceptions, object limit)
