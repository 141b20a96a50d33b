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
    cdef unsigned char closing
    cdef unsigned char reading_paused
    cdef unsigned char started
    cdef unsigned char eof_seen
    cdef unsigned char eof_wanted
    cdef unsigned char refusing
    cdef object empty_waiter
    cdef object file_send
