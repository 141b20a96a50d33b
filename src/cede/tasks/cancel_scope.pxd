cimport cython
from cede.core.native.call cimport PENDING, monotonic
from cede.core.task.task cimport PENDING_CANCEL, IN_CANCELLED_SCOPE, Task
from cede.tasks.deadline cimport clear_deadline, set_deadline
from cede.tasks.task_group cimport PatientFuture
from cede.tasks.timeouts cimport requests_of, task_on

cdef object CancelledError
cdef object get_running_loop
cdef object running_loop_or_none
cdef double SLOWEST
cdef dict modules
cdef str ANYIO
cdef Py_ssize_t AT_ONCE

@cython.trashcan(True)
cdef class CancelScope:
    cdef double until
    cdef double relative
    cdef bint shielded
    cdef bint late
    cdef bint called
    cdef bint caught
    cdef bint was_entered
    cdef Py_ssize_t counted
    cdef Py_ssize_t requests
    cdef object host
    cdef CancelScope parent
    cdef object loop
    cdef object timer
    cdef object reason
    cdef dict tasks
    cdef dict children
    cdef CancelScope felt
    cdef dict asked
    cdef Py_ssize_t owed
    cdef object theirs
    cdef dict __dict__
    cdef object __weakref__
    @cython.locals(own=Task)
    cdef int take_in(self, object task) except -1
    @cython.locals(child=CancelScope)
    cdef int hand_on(self, CancelScope parent) except -1
    @cython.locals(parent=CancelScope)
    cdef object leave(self, object error)
    cdef int arm(self) except -1
    cdef CancelScope effective(self)
    @cython.locals(scope=CancelScope, child=CancelScope, inside=list, children=list)
    cdef int spread(self) except -1
    @cython.locals(shield=CancelScope, scope=CancelScope)
    cpdef bint put_off(self, object task, CancelScope outer) except -1
    cdef int pay(self, object host) except -1
    @cython.locals(own=Task)
    cpdef press_ready(self, object task)
    @cython.locals(scope=CancelScope)
    cpdef press_again(self, object task, object waited)
    @cython.locals(scope=CancelScope)
    cpdef press_foreign(self, object task)
    @cython.locals(own=Task)
    cdef int mark(self, object task) except -1
    @cython.locals(own=Task, scope=CancelScope)
    cdef int deliver(self, object task) except -1

cdef class FailingScope(CancelScope):
    pass

@cython.locals(own=Task)
cdef int put(object task, CancelScope scope) except -1
@cython.locals(own=Task)
cdef int count_request(object task) except -1
@cython.locals(own=Task)
cdef CancelScope scope_of(object task)
cdef object anyio_scope_of(object task)
cdef bint sheltered(object task, CancelScope scope) except -1
@cython.locals(scope=CancelScope)
cpdef ask_unless_shielded(object task)
cdef CancelScope relative(CancelScope scope, object delay)
cpdef CancelScope current_scope()
@cython.locals(scope=CancelScope, earliest=double)
cpdef double current_effective_deadline() except? -1.0
