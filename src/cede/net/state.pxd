from cede.drivers.base cimport Stream
from cede.net.flow cimport FlowControl

cdef class StreamState(FlowControl):
    cdef Stream stream
    cdef object server
    cdef object extra
    cdef object sockname
    cdef object peername
    cdef list queue
    cdef int lost
    cdef bint closing
    cdef bint reading_paused
    cdef bint started
    cdef bint eof_seen
    cdef bint eof_wanted
    cdef bint refusing
    cdef object empty_waiter
    cdef object file_send
