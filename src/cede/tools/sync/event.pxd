cimport cython
from cede.core.awaitable cimport ENDED
from cede.tools.operation cimport begin
from cede.tools.sync.bound cimport LoopBound
from cede.tools.sync.waiters cimport CompiledWaiters, Waiting

cdef extern from "spare.h":
    object take_spare "cede_take_spare"(int kind)
    void keep_spare "cede_keep_spare"(int kind, object operation)

cdef class EventWait(Waiting):
    @cython.locals(event=Event)
    cdef int step(self) except -1
    @cython.locals(event=Event)
    cdef int release(self) except -1

cdef class Event(LoopBound):
    cdef public bint _value
    cdef CompiledWaiters waiting
    cdef CompiledWaiters line(self)
    cdef int raise_flag(self) except -1

cdef object waiting_for(Event event)
