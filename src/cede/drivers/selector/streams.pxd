cimport cython
from cede.drivers.contract cimport READ, WRITE, Acceptor, DatagramChannel, Sink, Stream
from cede.drivers.readiness cimport ReadinessDriver

cdef class PortableDriver(ReadinessDriver)

@cython.final
cdef class Room:
    cdef object view
    cdef bint lent

cdef class MethodStream(Stream):
    cdef ReadinessDriver driver
    cdef Room room
    cdef bint receiving
    @cython.locals(sink=Sink)
    cdef int fire(self, int events) except -1
    @cython.locals(room=Room)
    cdef int receive(self, Sink sink) except -1
    cdef int receive_into(self, Sink sink) except -1
    cdef int tell_data(self, Sink sink, object data) except -1
    cdef int tell_count(self, Sink sink, Py_ssize_t count) except -1
    @cython.locals(sink=Sink)
    cpdef int close(self) except -1

cdef class PortableDriver(ReadinessDriver):
    cdef Room room
    cpdef Room receive_room(self)
