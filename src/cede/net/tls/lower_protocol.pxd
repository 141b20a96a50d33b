from cede.net.tls.transport cimport TLSTransport

cdef class LowerProtocol:
    cdef TLSTransport transport
    cdef object __weakref__
