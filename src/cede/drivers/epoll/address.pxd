cdef extern from "sys_datagram.h":
    ctypedef struct cede_address:
        pass

cdef object address_of_peer(const cede_address *peer)
cdef object address_of_other_end(int fd)
