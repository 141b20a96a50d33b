from cede.core.ports cimport DriverPort

cdef class Inbox:
    cdef readonly object items
    cdef readonly bint pending
    cdef readonly bint idle
    cdef readonly DriverPort driver
    cpdef post(self, object item)
    cpdef bint about_to_sleep(self)
    cpdef list take_all(self)
    cpdef awake(self)
