cimport cython
from cede.drivers.contract cimport Owned, Stream
from cede.net.flow_control cimport FlowControl
from cede.net.write_buffer cimport checked, drop, gather, keep_rest

cdef class WritePipeTransport(FlowControl):
    cdef Stream channel
    cdef list queue
    cdef bint watched
    @cython.locals(queue=list, taken=Py_ssize_t)
    cdef int writable(self) except -1
    @cython.locals(taken=Py_ssize_t)
    cdef int send(self, list pieces) except -1
