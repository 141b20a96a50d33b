cimport cython

@cython.final
cdef class GilHints:
    cdef char apart[64]
    cdef int away
    cdef int released
    cdef char behind[64]
