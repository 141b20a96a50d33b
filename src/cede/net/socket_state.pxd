from cede.drivers.contract cimport Address
from cede.net.flow_control cimport FlowControl

cdef class SocketState(FlowControl):
    cdef object sockname
    cdef object peername
    cdef bint is_receiving(self) except -1
    cdef bint is_sending(self) except -1
    cdef object _peername(self)
