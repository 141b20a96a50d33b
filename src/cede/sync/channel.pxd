cimport cython
from cede.core.task.awaitable cimport ENDED, FAILED
from cede.core.task.operation cimport begin
from cede.sync.loop_bound cimport LoopBound
from cede.sync.parking_lot cimport CompiledParkingLot, Waiting

cdef extern from "ring.h":
    int prepare_deque "cede_prepare_deque"(object type) except -1
    int append "cede_deque_append"(object items, object item) except -1
    object popleft "cede_deque_popleft"(object items)

cdef extern from "objects.h":
    object take_spare "cede_take_spare"(int kind)
    void keep_spare "cede_keep_spare"(int kind, object operation)

cdef class Send(Waiting):
    @cython.locals(sender=Sender, channel=Channel)
    cdef int step(self) except -1
    @cython.locals(sender=Sender)
    cdef int release(self) except -1

cdef class Receive(Waiting):
    @cython.locals(receiver=Receiver, channel=Channel)
    cdef int step(self) except -1
    @cython.locals(receiver=Receiver)
    cdef int release(self) except -1
    cdef object take(self, Channel channel)
    cdef int ended(self) except -1
    cdef int over(self) except -1

cdef class ReceiveMany(Receive):
    cdef object take(self, Channel channel)
    cdef int over(self) except -1

cdef class NextItem(Receive):
    cdef int ended(self) except -1
    cdef int over(self) except -1

cdef class Channel(LoopBound):
    cdef object buffer
    cdef readonly object capacity
    cdef Py_ssize_t bound
    cdef CompiledParkingLot senders
    cdef CompiledParkingLot receivers
    cdef readonly Py_ssize_t open_senders
    cdef readonly Py_ssize_t open_receivers
    cdef bint has_room(self) except -1
    cdef bint has_items(self) except -1
    cdef int push(self, object item) except -1
    cdef object pop(self)
    cdef int pass_on_items(self) except -1
    cdef int pass_on_room(self) except -1

@cython.trashcan(True)
cdef class End:
    cdef Channel channel
    cdef bint closed
    cdef object __weakref__
    cdef bint shut(self)

cdef class Sender(End):
    cdef int check_open(self) except -1

cdef class Receiver(End):
    cdef int check_open(self) except -1
