cimport cython
from cede.drivers.contract cimport Sink
from cede.drivers.epoll.waiter cimport EpollWaiter
from cede.drivers.selector.pipes cimport PipeStream

@cython.final
cdef class EpollPipe(PipeStream):
    cdef EpollWaiter epoll

cdef EpollPipe new_pipe(EpollWaiter driver, object pipe, Sink sink, bint reading)
