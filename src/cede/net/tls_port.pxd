from cede.net.tls cimport TLSTransport

cdef class TLSPort:
    cdef TLSTransport transport
    cdef object __weakref__
