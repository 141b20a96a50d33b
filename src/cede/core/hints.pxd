cimport cython

@cython.final
cdef class Hints:
    cdef int away
    cdef int released
