cdef class DriverPort:
    cdef public bint quiet
    cdef public bint asleep
    cdef public bint holding
    cpdef int wait(self, double timeout) except -1
    cpdef wake(self)
    cpdef int end_step(self) except -1
    cpdef int release(self) except -1

cdef class OrderPort:
    cpdef int run_turn(self, object kernel) except -1
