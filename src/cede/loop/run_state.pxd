from cede.core.scheduler.kernel cimport Kernel
cimport cython

@cython.final
cdef class Borrowed:
    cdef list hooks
    cdef list depths
    cdef list outer_fds
    cdef bint giving_back
    cpdef run(self, Kernel loop)
    cdef take(self, Kernel loop)
    cdef give_back(self, Kernel loop)
    cpdef track_origins(self, bint wanted)
    cpdef arm(self, driver)
    cdef disarm(self, driver)
    cdef put_back(self, fd)
