from cede.drivers.base cimport Address
from cede.net.flow cimport FlowControl

cdef class SocketState(FlowControl):
    cdef object sockname
    cdef object peername
    cdef bint is_receiving(self) except -1
    cdef bint is_sending(self) except -1
    cdef object _peername(self)
