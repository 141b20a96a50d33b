from cede.drivers.contract cimport DatagramChannel, Owned
from cede.net.socket_state cimport SocketState

cdef class DatagramState(SocketState):
    cdef DatagramChannel channel
    cdef object address
    cdef bint connected
    cdef object queue
