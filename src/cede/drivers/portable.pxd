cimport cython
from cede.drivers.base cimport READ, WRITE, Acceptor, DatagramChannel, Sink, Stream
from cede.drivers.readiness cimport ReadinessDriver

cdef class PortableDriver(ReadinessDriver)

cdef class MethodStream(Stream):
    cdef ReadinessDriver driver
    cdef object room
    @cython.locals(sink=Sink)
    cdef int fire(self, int events) except -1
    cdef int receive(self, Sink sink) except -1
    cdef int receive_into(self, Sink sink) except -1
    @cython.locals(sink=Sink)
    cpdef int close(self) except -1

cdef class PortableDriver(ReadinessDriver):
    cdef object room
    cpdef object receive_room(self)
