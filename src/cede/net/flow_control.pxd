from cede.core.native.call cimport call_in
from cede.net.base_transport cimport BaseTransport

cdef class FlowControl(BaseTransport):
    cdef Py_ssize_t queued
    cdef Py_ssize_t high
    cdef Py_ssize_t low
    cdef bint protocol_paused
    cdef int let_out(self) except -1
    cdef int pause_if_full(self) except -1
    cdef int resume_if_drained(self) except -1
    cdef int set_limits(self, object high, object low) except -1
