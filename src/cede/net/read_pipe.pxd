from cede.core.call cimport call_in, call_method_in
from cede.core.kernel cimport Kernel
from cede.drivers.base cimport Sink, Stream

cdef class ReadPipeTransport(Sink):
    cdef Kernel kernel
    cdef object protocol
    cdef object context
    cdef Stream channel
    cdef object extra
    cdef object pipe
    cdef bint closing
    cdef bint reading_paused
    cdef bint started
    cdef bint lost
    cdef int start_reading(self) except -1
    cdef int report(self, str message, object error) except -1
    cdef int fail(self, object error, str message) except -1
    cdef int end(self, object error) except -1
    cdef int lose(self, object error) except -1
    cdef int finish_closing(self) except -1
