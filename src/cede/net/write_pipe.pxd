cimport cython
from cede.drivers.base cimport Stream
from cede.net.flow cimport FlowControl
from cede.net.stream cimport checked

cdef class WritePipeTransport(FlowControl):
    cdef Stream channel
    cdef object extra
    cdef object pipe
    cdef list queue
    cdef int lost
    cdef bint closing
    @cython.locals(taken=Py_ssize_t, size=Py_ssize_t)
    cdef int send(self, list pieces) except -1
    cdef int keep(self, object data, Py_ssize_t taken) except -1
    @cython.locals(count=Py_ssize_t, size=Py_ssize_t)
    cdef int drop(self, Py_ssize_t taken) except -1
    cdef int fail(self, object error, str message) except -1
    cdef int force_close(self, object error) except -1
    cdef int lose(self, object error) except -1
    cdef int finish_closing(self) except -1
