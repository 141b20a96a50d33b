from cede.drivers.base cimport READ, WRITE, Acceptor, DatagramChannel, Sink, Stream
from cede.drivers.readiness cimport ReadinessDriver

cdef class PortableDriver(ReadinessDriver)

cdef class MethodStream(Stream):
    cdef ReadinessDriver driver
    cdef object room
    cdef int receive(self) except -1
    cdef int receive_into(self) except -1

cdef class PortableDriver(ReadinessDriver):
    cdef object room
    cpdef object receive_room(self)
