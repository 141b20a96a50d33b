from cede.drivers.contract cimport Acceptor
from cede.drivers.epoll.waiter cimport EpollWaiter
from cede.drivers.accepting cimport ListenAcceptor

cdef class EpollAcceptor(ListenAcceptor):
    cdef object family
    cdef object kind
    cdef object proto
    cdef object wrap(self, int fd)
    cdef int failed(self, int code) except -1

cdef bint can_accept(object sock)
cdef Acceptor new_acceptor(EpollWaiter driver, object sock, object sink, int backlog)
