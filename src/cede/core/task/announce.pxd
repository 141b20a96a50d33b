cdef extern from "call.h":
    ctypedef struct cede_direct:
        pass
    int prepare "cede_prepare"(cede_direct *direct, object callable) except -1
    int direct_call1 "cede_direct_call1"(const cede_direct *direct, object argument) except -1
    int direct_call2 "cede_direct_call2"(const cede_direct *direct, object first, object second) except -1

cdef cede_direct registering
cdef cede_direct unregistering
cdef cede_direct swapping
cdef cede_direct leaving
cdef bint swaps
cdef set pending
cdef dict current

cdef int announce(object task) except -1
cdef int withdraw(object task) except -1
cdef int tell_current(object loop, object task) except -1
