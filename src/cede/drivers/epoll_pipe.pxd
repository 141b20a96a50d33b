cimport cython
from cede.drivers.base cimport Sink
from cede.drivers.epoll_wait cimport EpollWaiter
from cede.drivers.pipes cimport PipeStream

@cython.final
cdef class EpollPipe(PipeStream):
    cdef EpollWaiter epoll

cdef EpollPipe new_pipe(EpollWaiter driver, object pipe, Sink sink, bint reading)
