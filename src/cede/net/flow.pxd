from cede.core.call cimport call_in
from cede.core.kernel cimport Kernel
from cede.drivers.base cimport Sink

cdef class FlowControl(Sink):
    cdef Kernel kernel
    cdef object protocol
    cdef object context
    cdef Py_ssize_t queued
    cdef Py_ssize_t high
    cdef Py_ssize_t low
    cdef bint protocol_paused
    cdef int pause_if_full(self) except -1
    cdef int resume_if_drained(self) except -1
    cdef int set_limits(self, object high, object low) except -1
    cdef int report(self, str message, object error) except -1
