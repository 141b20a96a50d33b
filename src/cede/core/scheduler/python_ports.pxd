from cede.core.scheduler.inbox cimport Inbox
from cede.core.scheduler.ports cimport ClockPort, OrderPort
cimport cython

cdef class PythonClock(ClockPort):
    cdef readonly object clock
    @cython.locals(seconds=double)
    cdef double seconds(self) except? -1.0

cdef class PythonInbox(Inbox):
    cdef readonly object inbox
    cdef object kernel
    cdef dict posted
    cdef list arrived

cdef class PythonOrder(OrderPort):
    cdef readonly object order
    cdef object arranged(self, list batch)
