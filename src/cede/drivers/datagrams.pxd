cimport cython
from cede.core.handle cimport Handle
from cede.drivers.base cimport READ, WRITE, DatagramChannel, Sink
from cede.drivers.readiness cimport ReadinessDriver

cdef class ReadinessDatagrams(DatagramChannel):
    cdef ReadinessDriver driver
    cdef int family
    cdef int batch
    cdef bint refused
    cdef object rest
    cdef list kept
    cdef Handle reading
    cdef bint scheduled
    cdef int withdraw_write(self) except -1
    @cython.locals(count=int)
    cdef int receive(self) except -1
    cdef int expect(self, int count) except -1
    cdef bint tell(self, object data, object address) except -1
    cdef int keep(self, list datagrams) except -1
    cdef int take_a_rest(self) except -1

cdef class MethodDatagrams(ReadinessDatagrams):
    pass
