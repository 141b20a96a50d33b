cimport cython
from cede.core.awaitable cimport ENDED
from cede.tools.operation cimport begin
from cede.tools.sync.bound cimport LoopBound
from cede.tools.sync.waiters cimport CompiledWaiters, Waiting

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
