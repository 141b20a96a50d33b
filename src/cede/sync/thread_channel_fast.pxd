cimport cython
from cede.core.task.awaitable cimport ENDED, SUSPENDED
from cede.core.task.operation cimport OVER, PARKED, StreamOperation, begin
from cede.sync.thread_lock cimport ThreadLock

cdef extern from "ring.h":
    int prepare_deque "cede_prepare_deque"(object type) except -1
    int append "cede_deque_append"(object items, object item) except -1
    object popleft "cede_deque_popleft"(object items)

cdef extern from "objects.h":
    object take_spare "cede_take_spare"(int kind)
    void keep_spare "cede_keep_spare"(int kind, object operation)

cdef class FastOperation(StreamOperation):
    cdef bint at_once(self) except -1
    cdef object in_turn(self)
    cdef int over(self) except -1
    cdef int step(self) except -1
    cdef int release(self) except -1

cdef class FastSend(FastOperation):
    @cython.locals(exchange=FastThreadChannel)
    cdef bint at_once(self) except -1
    cdef object in_turn(self)
    cdef int over(self) except -1

cdef class FastReceive(FastOperation):
    @cython.locals(exchange=FastThreadChannel)
    cdef bint at_once(self) except -1
    cdef object in_turn(self)
    cdef int over(self) except -1

cdef class FastNext(FastReceive):
    cdef object in_turn(self)
    cdef int over(self) except -1

@cython.trashcan(True)
cdef class FastThreadChannel:
    cdef readonly object capacity
    cdef Py_ssize_t bound
    cdef readonly ThreadLock lock
    cdef readonly object buffer
    cdef readonly object getters
    cdef readonly object putters
    cdef public bint closed
    cdef object __weakref__
    cdef bint put_at_once(self, object item) except -1
    cdef object take_at_once(self)
