from cede.core.future cimport Future
from cede.core.kernel cimport Kernel
from cede.core.task cimport Task
cimport cython

cdef object CoroutineType

cdef class Spawner(Kernel):
    cdef public object _task_factory

    @cython.locals(future=Future)
    cdef Future new_future(self)
    @cython.locals(task=Task)
    cdef Task new_task(self, object coro, object name, object context, bint eager)
