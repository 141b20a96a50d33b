from cede.core.native.call cimport call_method_in
from cede.core.scheduler.kernel cimport Kernel
from cede.drivers.contract cimport Owned, Stream
from cede.net.base_transport cimport BaseTransport

cdef class ReadPipeTransport(BaseTransport):
    cdef Stream channel
    cdef bint reading_paused
    cdef bint started
    cdef int start_reading(self) except -1
