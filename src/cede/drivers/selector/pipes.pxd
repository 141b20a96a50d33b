cimport cython
from cede.drivers.contract cimport READ, WRITE, Sink, Stream
from cede.drivers.readiness cimport ReadinessDriver, number_of

cdef class PipeStream(Stream):
    cdef ReadinessDriver driver
    cdef bint reading
    cdef bint always_ready
    cdef bint scheduled
    cdef int ask(self, int mask) except -1
    @cython.locals(due=int, sink=Sink)
    cdef int fire(self, int events) except -1
    cdef int check(self) except -1
    cdef bint is_deserted(self) except -1
    cdef int receive(self, Sink sink) except -1
    cdef int tell(self, Sink sink, object data) except -1
