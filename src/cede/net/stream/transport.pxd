cimport cython
from cede.core.native.call cimport call_in, call_method_in
from cede.net.write_buffer cimport checked, drop, gather, keep, keep_rest
from cede.net.write_coalescing cimport BurstState

cdef class StreamTransport(BurstState):
    @cython.locals(queue=list, taken=Py_ssize_t)
    cdef int writable(self) except -1
    cdef int start_reading(self) except -1
    cdef int count_lost_write(self) except -1
    cdef int check_write(self, str method) except -1
    cdef int drained(self) except -1
    cdef int shutdown(self) except -1
    cdef int end_file(self, object error) except -1
