from cede.net.stream cimport StreamTransport

cdef class MeteredTransport(StreamTransport):
    cdef readonly long long bytes_received
    cdef bint written
