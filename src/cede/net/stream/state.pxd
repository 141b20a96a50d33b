from cede.drivers.contract cimport Owned, Stream
from cede.net.socket_state cimport SocketState

cdef class StreamState(SocketState):
    cdef Stream stream
    cdef object server
    cdef list queue
    cdef unsigned char reading_paused
    cdef unsigned char started
    cdef unsigned char eof_seen
    cdef unsigned char eof_wanted
    cdef unsigned char refusing
    cdef object empty_waiter
    cdef object file_send
