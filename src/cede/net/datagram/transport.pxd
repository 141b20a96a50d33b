cimport cython
from cede.core.native.call cimport call_in, call_method_with_two_in, is_this_thread
from cede.net.datagram.state cimport DatagramState

cdef class DatagramTransport(DatagramState):
    cdef bint sending
    cdef int tell_sender(self, object error) except -1
    cdef bint hold(self, bytes data, object addr) except -1
    cdef int send_held(self) except -1
    cdef int send_some(self) except -1
    cdef int drop(self, Py_ssize_t count) except -1
