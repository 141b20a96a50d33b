cimport cython
from cede.core.task.awaitable cimport ENDED
from cede.core.task.operation cimport begin
from cede.sync.waitable cimport Waitable
from cede.sync.parking_lot cimport Waiting

cdef extern from "objects.h":
    object take_spare "cede_take_spare"(int kind)
    void keep_spare "cede_keep_spare"(int kind, object operation)

cdef class EventWait(Waiting):
    @cython.locals(event=Event)
    cdef int step(self) except -1
    @cython.locals(event=Event)
    cdef int release(self) except -1

cdef class Event(Waitable):
    cdef public bint _value
    cdef object kept(self)
    cdef int raise_flag(self) except -1

cdef object waiting_for(Event event)
