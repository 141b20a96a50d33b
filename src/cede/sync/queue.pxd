cimport cython
from cede.core.task.awaitable cimport ENDED
from cede.core.native.call cimport defined_in_python
from cede.core.task.operation cimport begin
from cede.sync.loop_bound cimport LoopBound
from cede.sync.event cimport Event, EventWait
from cede.sync.parking_lot cimport CompiledParkingLot, Waiting, wake_one_of

cdef extern from "ring.h":
    int prepare_deque "cede_prepare_deque"(object type) except -1
    int append "cede_deque_append"(object items, object item) except -1
    object popleft "cede_deque_popleft"(object items)

cdef extern from "objects.h":
    object take_spare "cede_take_spare"(int kind)
    void keep_spare "cede_keep_spare"(int kind, object operation)

cdef class Put(Waiting):
    cdef int over(self) except -1
    @cython.locals(queue=Queue)
    cdef int step(self) except -1
    @cython.locals(queue=Queue)
    cdef int release(self) except -1

cdef class Get(Waiting):
    cdef int over(self) except -1
    @cython.locals(queue=Queue)
    cdef int step(self) except -1
    @cython.locals(queue=Queue)
    cdef int release(self) except -1

cdef class Join(EventWait):
    pass

cdef class Queue(LoopBound):
    cdef public object _queue
    cdef object given_maxsize
    cdef Py_ssize_t room
    cdef CompiledParkingLot getters
    cdef CompiledParkingLot putters
    cdef public Py_ssize_t _unfinished_tasks
    cdef readonly Event _finished
    cdef public bint _is_shutdown
    cdef bint overridden

    cdef object pop(self)
    cdef int push(self, object item) except -1
    cdef bint is_empty(self) except -1
    cdef bint is_full(self) except -1
    cdef object take(self)
    cdef int deliver(self, object item) except -1
    cpdef int pass_on_items(self) except -1
    cpdef int pass_on_room(self) except -1
    cdef int wake_getter(self) except -1
    cdef int wake_putter(self) except -1
    cdef int set_maxsize(self, object maxsize) except -1

cdef class PriorityQueue(Queue):
    cdef object pop(self)
    cdef int push(self, object item) except -1

cdef class LifoQueue(Queue):
    cdef object pop(self)
    cdef int push(self, object item) except -1
