cdef class Scratch:
    cdef bytearray memory
    cdef object view
    cdef bint busy
    cdef object __weakref__

cpdef Scratch scratch_of(object loop)
