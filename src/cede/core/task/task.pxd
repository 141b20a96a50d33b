cimport cython
from cede.core.task.announce cimport announce, withdraw
from cede.core.task.cancel_request cimport tell
from cede.core.native.call cimport CANCELLED, FINISHED, PENDING, RAISED, RETURNED, YIELDED, copy_context, current_frame, monotonic, resume_plain, resume_step, resume_step_with
from cede.core.task.future cimport Future
from cede.core.task.handle cimport Runnable
from cede.core.scheduler.kernel cimport Kernel

cdef extern from "objects.h":
    """
    CEDE_POOL(task)
    """
    int pool_task "cede_pool_task"(object kind) except -1

cdef extern from "objects.h":
    """
    CEDE_FINALIZER(task)
    """
    int finalize_task "cede_finalize_task"(object kind, void *has_to_tell) except -1

# Bits of `cancel_flags`: the next step delivers a cancellation; the task is inside a cancelled scope.
cdef enum:
    PENDING_CANCEL = 1
    IN_CANCELLED_SCOPE = 2

cdef object CancelledError
cdef object CoroutineType
cdef object GeneratorType
cdef long long task_numbers
cdef long long next_number() noexcept

cdef class Task(Future):
    cdef object coro
    cdef object context
    cdef object name
    cdef long long number
    cdef object waits_for
    cdef object sends
    cdef Py_ssize_t cancels
    cdef int outcome
    cdef object scope
    cdef object cancel_request
    cdef unsigned char cancel_flags
    cdef unsigned char gives_way
    cdef unsigned char tells_if_destroyed

    @cython.locals(kernel=Kernel, asker=Task)
    cdef int note_request(self, object why) except -1
    cdef int check_coroutine(self, object coro) except -1
    @cython.locals(kernel=Kernel)
    cdef int launch(self, object coro, object name, object context, bint eager_start) except -1
    @cython.locals(waited=Future)
    cdef int run_ready(self) except -1
    @cython.locals(kernel=Kernel)
    cdef int step(self, object failure) except -1
    @cython.locals(kernel=Kernel)
    cdef int step_eagerly(self) except -1
    cdef int refuse_step(self) except -1
    cdef int refuse_context(self) except -1
    @cython.locals(kernel=Kernel)
    cdef int go_on(self) except -1
    cdef int resume(self, object failure) except -1
    cdef int settle(self, object result) except -1
    cdef int park(self, Future future) except -1
    cdef int pass_on(self, object future) except -1
    cdef int park_elsewhere(self, object result) except -1
    cdef int park_foreign(self, object result) except -1
    cdef int wait_for_awaitable(self, object awaitable) except -1
    cdef int step_soon(self, object error) except -1
    cdef int end_by(self, object error) except -1
    cdef int leave(self) except -1

cdef object failure_of_future(Future future)
cdef bint has_to_tell(Task task) noexcept
