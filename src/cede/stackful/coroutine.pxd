cimport cython
from cede.core.task.awaitable cimport ENDED, FAILED, SUSPENDED, Operation
from cede.core.native.call cimport RAISED, RETURNED, YIELDED, drive_step
from cede.core.task.future cimport Future
from cede.core.task.operation cimport StreamOperation

cdef extern from "stacks.h":
    int import_stacks "cede_import_stacks"() except -1
    object current_stack "cede_current_stack"()
    object give_way "cede_give_way"(object driver)
    object switch_step "cede_switch_step"(object stack, object args, object kwargs, object error, int *outcome)

cdef enum:
    FRESH = 0
    RUNNING = 1
    PARKED = 2
    OVER = 3

@cython.final
cdef class StackCoroutine(Operation):
    cdef int state
    cdef object function
    cdef tuple args
    cdef dict kwargs
    cdef object stack
    cdef object driver
    cdef object thrown
    cdef object awaited
    cdef object handed
    cdef object __weakref__
    cdef int go_on(self, object error) except -1
    cdef int begin(self, object driver) except -1
    @cython.locals(outcome=int)
    cdef int run_on(self, object args, object kwargs, object error) except -1
    cdef int look(self, object handed, int outcome) except -1
    @cython.locals(outcome=int)
    cdef int feed(self, object error) except -1
    cdef int finish(self) except -1
    cdef bint suspend(self) except -1
    cdef int rise(self) except -1
    @cython.locals(outcome=int)
    cdef int drive(self, object iterator, object error) except -1
    @cython.locals(own=Future, interrupted=bint)
    cdef object wait_for_future(self, object future)
    @cython.locals(operation=StreamOperation, outcome=int, interrupted=bint)
    cdef object wait_for_operation(self, object awaitable)
    @cython.locals(outcome=int)
    cdef object wait_for(self, object awaitable)

cdef StackCoroutine running
cdef tuple NOTHING

cdef object iterator_of(object awaitable)
@cython.locals(coroutine=StackCoroutine)
cdef StackCoroutine coroutine_of(object stack)
