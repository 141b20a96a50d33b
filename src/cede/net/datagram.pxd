cimport cython
from cede.core.call cimport call_in, call_method_with_two_in
from cede.net.datagram_state cimport DatagramState

cdef class DatagramTransport(DatagramState):
    cdef int tell_sender(self, object error) except -1
    cdef int drop(self, Py_ssize_t count) except -1
