from cede.core.task.future cimport Future
from cede.core.scheduler.kernel cimport Kernel
from cede.core.task.task cimport Task
from cede.core.scheduler.timers cimport TimerHandle
from cede.core.scheduler.waking_timer cimport set_waking_timer
cimport cython

cdef extern from "methods.h":
    """
    CEDE_CREATING_METHOD(create_task)
    """
    int install_create_task "cede_install_create_task"(object kind, void *quick) except -1

cdef object CoroutineType
cdef object wake_sleeper

cdef class TaskKernel(Kernel):
    cdef public object _task_factory

    cdef int _check_spawn(self) except -1
    @cython.locals(future=Future)
    cdef Future new_future(self)
    cdef Future waiter_for(self, object subject)
    cdef TimerHandle _new_timer(self, double when, object callback, tuple args, object context, str name)
    @cython.locals(task=Task)
    cdef Task new_task(self, object coro, object name, object context, bint eager)

cdef object quick_create_task(TaskKernel spawner, object coro, object name, object context)
