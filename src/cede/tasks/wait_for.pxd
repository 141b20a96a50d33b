cimport cython
from cede.core.task.awaitable cimport ENDED, FAILED, SUSPENDED
from cede.core.native.call cimport RAISED, RETURNED, YIELDED, send_to
from cede.core.scheduler.coop cimport door
from cede.core.task.future cimport Future
from cede.core.scheduler.kernel cimport Kernel
from cede.core.scheduler.task_kernel cimport TaskKernel
from cede.tasks.deadline cimport clear_deadline, set_deadline
from cede.tasks.timeouts cimport ask_to_stop, requests_of, task_on
from cede.core.task.operation cimport FRESH, OVER, PARKED

cdef enum:
    RUNNING = 3

cdef extern from "awaitable.h":
    int install_iternext "cede_install_iternext"(object kind, void *advance, void *value, void *may_give_way, void *fair) except -1

cdef object CancelledError
cdef object get_running_loop
cdef object CoroutineType

@cython.final
@cython.trashcan(True)
cdef class WaitFor:
    cdef int stage
    cdef int outcome
    cdef bint limited
    cdef bint reached
    cdef double seconds
    cdef double until
    cdef Py_ssize_t requests
    cdef object awaitable
    cdef object inner
    cdef object future
    cdef object loop
    cdef object task
    cdef object timer
    cdef object value
    cdef object __weakref__
    cdef int advance(self) except -1
    @cython.locals(kernel=TaskKernel)
    cdef int start(self) except -1
    cdef int go_on(self, object result) except -1
    cpdef overdue(self)
    cdef object answer(self, int outcome)

@cython.locals(made=WaitFor)
cdef WaitFor innermost(WaitFor made)
cdef object iterator_of(object awaitable)

@cython.locals(made=WaitFor)
cdef object begin_waiting(object awaitable, object timeout)
cdef int advance_of(WaitFor made) except -1
cdef object value_of(WaitFor made)
cdef bint gives_way(WaitFor made) noexcept
