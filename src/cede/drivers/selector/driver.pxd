cimport cython
from cede.core.scheduler.ports cimport COLLECTED, NO_BATCH, TELLING
from cede.drivers.contract cimport READ, WRITE, Channel
from cede.drivers.selector.streams cimport PortableDriver

cdef class SelectorDriver(PortableDriver):
    cdef readonly object selector
    cdef object wakeup_sender
    cdef object wakeup_receiver
    cdef bint rung
    cdef list rest
    cdef readonly bint closed
    cdef int register(self, Channel channel) except -1
    cdef int strike_out(self, Channel channel) except -1
    @cython.locals(rest=list)
    cdef int collect(self, list events) except -1
    @cython.locals(channel=Channel, generation=cython.uint, mask=int)
    cdef int dispatch(self, unsigned int poll) except -1
    @cython.locals(channel=Channel)
    cdef int evict_closed(self) except -1
    cdef unsigned int stamp_of(self, Channel channel) except? 0
    cdef int drain_wakeup(self) except -1
