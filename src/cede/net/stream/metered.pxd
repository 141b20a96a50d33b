cimport cython
from cede.net.stream.transport cimport StreamTransport

cdef class MeteredTransport(StreamTransport):
    cdef readonly long long bytes_received
    cdef bint written
    cdef long long accepted
    cdef long long of_files

cdef Py_ssize_t size_of(object data) except -1
