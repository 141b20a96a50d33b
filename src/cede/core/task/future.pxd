cimport cython
from cede.core.task.attributed cimport OpenRunnable
from cede.core.task.awaitable cimport ENDED, FAILED, SUSPENDED, Operation, install_await
from cede.core.native.call cimport CANCELLED, FINISHED, PENDING, copy_context, defined_in_python
from cede.core.scheduler.coop cimport door
from cede.core.task.handle cimport Runnable, creation_stack
from cede.core.scheduler.kernel cimport Kernel

cdef extern from "objects.h":
    """
    CEDE_POOL(future)
    """
    int pool_future "cede_pool_future"(object kind) except -1

cdef extern from "objects.h":
    """
    CEDE_FINALIZER(future)
    """
    int finalize_future "cede_finalize_future"(object kind, void *has_to_tell) except -1

cdef object CancelledError

cdef list several(object callbacks)

cdef class FutureIterator(Operation)

cdef class Future(OpenRunnable):
    cdef object loop
    cdef Kernel kernel
    cdef bint blocking
    cdef unsigned char log_traceback
    cdef unsigned char misused
    cdef object value
    cdef object failure
    cdef object trace
    cdef Runnable waiter
    cdef object callbacks
    cdef object cancel_message
    cdef readonly object _cancelled_exc
    cdef public object _source_traceback
    cdef object __weakref__

    cdef int born(self, Kernel kernel) except -1
    cdef int start(self, object loop) except -1
    cdef int refuse_second_birth(self) except -1
    @cython.locals(iterator=FutureIterator)
    cdef object iterate(self)
    cdef bint cancel_now(self, object message) except -1
    cdef int finish(self, object result) except -1
    cdef int fail(self, object exception) except -1
    @cython.locals(callbacks=list)
    cdef int wake(self) except -1
    cpdef object _make_cancelled_error(self)
    cdef int refuse_result(self) except -1
    cdef int need_loop(self) except -1
    cdef int report_unfetched(self) except -1

cdef class FutureIterator(Operation):
    cdef Future future
    @cython.locals(future=Future, outcome=int)
    cdef int advance(self) except -1
    cdef int abandon(self) except -1
    cdef bint may_give_way(self) noexcept

@cython.locals(own=Future)
cpdef int set_subject(object future, object subject) except -1
cdef int await_step(Future future) except -1
cdef object await_value(Future future)
cdef bint await_gives_way(Future future) noexcept
cdef bint has_to_tell(Future future) noexcept
