from cede.drivers.contract cimport READ, WRITE, Acceptor, AcceptSink
from cede.drivers.readiness cimport ReadinessDriver

cdef class ListenAcceptor(Acceptor):
    cdef ReadinessDriver driver
    cdef object sink
    cdef int backlog
    cdef object retry
    cdef bint warned
    cdef int accept_some(self) except -1
    cdef int back_off(self, object error) except -1
    cdef list taken
    cdef list made
    cdef bint handing
    cdef int hand_over_taken(self) except -1
    cdef int hand_over(self, object sock, object address) except -1

cdef int take_over(object sock, object listening, object fd) except -1
