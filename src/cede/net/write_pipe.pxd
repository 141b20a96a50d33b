cimport cython
from cede.drivers.base cimport Owned, Stream
from cede.net.flow cimport FlowControl
from cede.net.pieces cimport checked, drop, gather, keep_rest

cdef class WritePipeTransport(FlowControl):
    cdef Stream channel
    cdef list queue
    cdef bint watched
    @cython.locals(queue=list, taken=Py_ssize_t)
    cdef int writable(self) except -1
    @cython.locals(taken=Py_ssize_t)
    cdef int send(self, list pieces) except -1
