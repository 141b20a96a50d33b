cdef extern from *:
    """
    #define cede_clear_head(memory, count) PyBytes_FromStringAndSize(PyByteArray_AS_STRING(memory), count)
    """
    bytes head_of "cede_clear_head"(bytearray memory, Py_ssize_t count)

cdef class Scratch:
    cdef bytearray memory
    cdef object view
    cdef bint busy
    cdef bytearray clear
    cdef object __weakref__

    cdef bytearray take_clear(self)

cpdef Scratch scratch_of(object loop)
