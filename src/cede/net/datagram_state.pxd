from cede.drivers.base cimport DatagramChannel
from cede.net.flow cimport FlowControl

cdef class DatagramState(FlowControl):
    cdef DatagramChannel channel
    cdef object extra
    cdef object address
    cdef object sockname
    cdef object peername
    cdef bint connected
    cdef object queue
    cdef int lost
    cdef bint closing
