from cede.core.task.attributed cimport Attributed
from cede.core.task.handle cimport Runnable

cdef enum:
    NO_BATCH = 0
    COLLECTED = 1
    QUEUED = 2
    TELLING = 3

cdef class DriverPort(Runnable):
    cdef public bint idle
    cdef public bint asleep
    cdef public bint acted
    cdef public int batch
    cdef public bint signals
    cdef public bint heard
    cdef public object signal_sink
    cpdef int wait(self, double timeout) except -1
    cpdef int tell(self) except -1
    cdef int tell_signals(self, bytes numbers) except -1
    cpdef wake(self)

cdef class AfterStep(Attributed):
    cdef int after_step(self) except -1

cdef class ClockPort:
    cdef double seconds(self) except? -1.0

cdef class OrderPort:
    cdef object arranged(self, list batch)
