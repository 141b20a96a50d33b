from cede.net.tls.transport cimport TLSTransport

cdef class TLSPort:
    cdef TLSTransport transport
    cdef object __weakref__
