cdef class Notes(list):
    pass

cpdef object text_of(object note)
cpdef int tell(object error, object noted) except -1
