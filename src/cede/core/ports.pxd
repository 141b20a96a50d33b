cdef class DriverPort:
    cdef public bint quiet
    cpdef int wait(self, double timeout) except -1
    cpdef wake(self)

cdef class OrderPort:
    cpdef int run_turn(self, object kernel) except -1
