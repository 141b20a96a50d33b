cimport cython
from cede.core.awaitable cimport ENDED
from cede.tools.operation cimport begin
from cede.tools.sync.lined cimport Lined
from cede.tools.sync.waiters cimport Waiting

cdef extern from "spare.h":
    object take_spare "cede_take_spare"(int kind)
    void keep_spare "cede_keep_spare"(int kind, object operation)

cdef class EventWait(Waiting):
    @cython.locals(event=Event)
    cdef int step(self) except -1
    @cython.locals(event=Event)
    cdef int release(self) except -1

cdef class Event(Lined):
    cdef public bint _value
    cdef object kept(self)
    cdef int raise_flag(self) except -1

cdef object waiting_for(Event event)
