cimport cython
from cede.drivers.contract cimport READ, WRITE, DatagramChannel, Sink
from cede.drivers.readiness cimport ReadinessDriver

cdef class ReadinessDatagrams(DatagramChannel):
    cdef ReadinessDriver driver
    cdef int family
    cdef int batch
    cdef bint refused
    cdef object rest
    cdef list kept
    cdef int left
    cdef bint waiting
    cdef bint receiving
    cdef int withdraw_write(self) except -1
    @cython.locals(count=int, sink=Sink)
    cdef int receive(self) except -1
    cdef int expect(self, int count) except -1
    cdef int tell_kept(self) except -1
    cdef int tell_later(self) except -1
    cdef int take_a_rest(self) except -1

cdef class MethodDatagrams(ReadinessDatagrams):
    pass
