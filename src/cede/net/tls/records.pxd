cimport cython

cdef enum:
    HEADER = 5
    LONGEST_BODY = 18432

cdef class Records:
    cdef int seen
    cdef int body
    cdef int missing
    cdef bint lost
    @cython.locals(byte=int, taken=Py_ssize_t)
    cdef Py_ssize_t advance(self, bytearray data, Py_ssize_t start, Py_ssize_t end) except -1
    cdef int pass_over(self, bytearray data, Py_ssize_t start, Py_ssize_t end) except -1
