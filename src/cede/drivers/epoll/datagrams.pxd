cimport cython
from cede.drivers.contract cimport Sink
from cede.drivers.selector.datagrams cimport ReadinessDatagrams
from cede.drivers.readiness cimport ReadinessDriver
from cede.drivers.epoll.sys_datagram cimport cede_batch

cdef class DatagramBatch:
    cdef cede_batch batch
    cdef bint busy

@cython.final
cdef class EpollDatagrams(ReadinessDatagrams):
    cdef DatagramBatch arena
    cdef size_t room
    cdef int most
    cdef int shared  # datagrams up to this size may share a message
    cdef int barred  # the number of batches in which the channel still defers nothing
    cdef int told(self) except -1
    cdef int send_by_method(self, object data, object address) except -1

cdef bint serves(object sock) except -1
cdef EpollDatagrams new_datagrams(ReadinessDriver driver, object sock, Sink sink, DatagramBatch arena)
