from cede.drivers.base cimport READ, WRITE, Acceptor, AcceptSink
from cede.drivers.readiness cimport ReadinessDriver

cdef class ListenAcceptor(Acceptor):
    cdef ReadinessDriver driver
    cdef object sink
    cdef int backlog
    cdef object retry
    cdef bint warned
    cdef int accept_some(self) except -1
    cdef int back_off(self, object error) except -1
    cdef int hand_over(self, object sock, object address) except -1
