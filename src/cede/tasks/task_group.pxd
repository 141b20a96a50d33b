cimport cython
from cede.core.task.awaitable cimport ENDED, SUSPENDED
from cede.core.native.call cimport FINISHED, PENDING
from cede.core.task.future cimport Future
from cede.core.task.handle cimport Runnable
from cede.core.scheduler.task_kernel cimport TaskKernel
from cede.core.task.task cimport Task
from cede.tasks.completed cimport Instant, instant
from cede.tasks.timeouts cimport task_on
from cede.core.task.operation cimport OVER, PARKED, StreamOperation, begin, new_waiter

cdef extern from "methods.h":
    """
    CEDE_CREATING_METHOD_AS(create_in_group, create_task)
    """
    int install_create_in_group "cede_install_create_in_group"(object kind, void *quick) except -1

cdef object CancelledError
cdef object get_running_loop
cdef object CoroutineType

cdef class PatientFuture(Future):
    pass

@cython.trashcan(True)
cdef class TaskGroup(Runnable):
    cdef public bint _entered
    cdef public bint _exiting
    cdef public bint _aborting
    cdef public bint _parent_cancel_requested
    cdef public bint _cancel_on_enter
    cdef dict members
    cdef object ended
    cdef Py_ssize_t by_callback
    cdef public list _errors
    cdef public object _loop
    cdef public object _parent_task
    cdef public object _base_error
    cdef public object _on_completed_fut
    cdef TaskKernel kernel
    cdef object scope
    cdef object propagated
    cdef object came_late
    cdef object gate
    cdef dict __dict__
    cdef object __weakref__
    cdef int enter(self) except -1
    cdef object leaving(self, object error)
    cdef object wait_again(self)
    cdef int interrupted(self, object error) except -1
    cdef object conclude(self, object error)
    cdef object adopt(self, object task)
    cdef int refuse(self, object coro) except -1
    @cython.locals(task=Task)
    cdef int notice(self, object future) except -1
    cdef int run_ready(self) except -1
    cdef int complete(self) except -1
    cdef int ask(self, object task) except -1
    @cython.locals(own=Task)
    cpdef object create_task_in_full(self, object coro, object name, object context, dict options)

cdef class EnteringGroup(Instant):
    cdef bint may_give_way(self) noexcept
    @cython.locals(group=TaskGroup)
    cdef int begin(self) except -1

@cython.locals(entering=EnteringGroup)
cdef EnteringGroup entering_group(TaskGroup group)

cdef class GroupExit(StreamOperation):
    @cython.locals(group=TaskGroup)
    cdef int step(self) except -1
    cdef bint may_give_way(self) noexcept
    @cython.locals(group=TaskGroup)
    cdef int go_on_after(self, object error) except -1
    @cython.locals(group=TaskGroup)
    cdef int go_on(self) except -1

cdef bint is_base_error(object error)
@cython.locals(own=Task)
cdef object scope_around(object task)

@cython.locals(task=Task, kernel=TaskKernel)
cdef object quick_create_task(TaskGroup group, object coro, object name, object context)
