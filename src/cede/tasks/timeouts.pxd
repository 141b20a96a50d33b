cimport cython
from cede.core.native.call cimport monotonic, seconds_of
from cede.core.scheduler.kernel cimport Kernel
from cede.core.scheduler.task_kernel cimport TaskKernel
from cede.core.task.task cimport Task
from cede.tasks.deadline cimport clear_deadline, set_deadline, set_on_kernel
from cede.tasks.completed cimport Instant, instant

cdef enum:
    CREATED = 0
    ENTERED = 1
    EXPIRING = 2
    EXPIRED = 3
    EXITED = 4

cdef object CancelledError
cdef object get_running_loop

cpdef object task_on(object loop)
cdef object task_of(TaskKernel kernel)
@cython.locals(own=Task)
cpdef Py_ssize_t requests_of(object task) except -1

@cython.locals(own=Task)
cpdef int ask_to_stop(object task, str why) except -1

cdef class Timeout

cdef class EnteringTimeout(Instant):
    cdef bint may_give_way(self) noexcept
    @cython.locals(limit=Timeout)
    cdef int begin(self) except -1

@cython.trashcan(True)
cdef class Timeout:
    cdef int enter(self) except -1
    cdef int leave(self, object error) except -1
    cdef int stage
    cdef bint known_later
    cdef Py_ssize_t requests
    cdef object until
    cdef TaskKernel kernel
    cdef object loop
    cdef object task
    cdef object timer
    cdef object __weakref__
    cdef int arm(self, object loop) except -1
    cpdef overdue(self)

@cython.locals(entering=EnteringTimeout)
cdef EnteringTimeout entering_timeout(Timeout limit)

@cython.locals(kernel=TaskKernel, made=Timeout, seconds=double)
cpdef Timeout timeout(object delay)
@cython.locals(made=Timeout)
cpdef Timeout timeout_at(object when)
