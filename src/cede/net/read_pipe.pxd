from cede.core.call cimport call_method_in
from cede.core.kernel cimport Kernel
from cede.drivers.base cimport Owned, Stream
from cede.net.transport cimport BaseTransport

cdef class ReadPipeTransport(BaseTransport):
    cdef Stream channel
    cdef bint reading_paused
    cdef bint started
    cdef int start_reading(self) except -1
