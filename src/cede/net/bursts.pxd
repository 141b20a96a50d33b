cimport cython
from cede.core.call cimport is_this_thread, monotonic
from cede.core.kernel cimport Kernel
from cede.drivers.base cimport Driver
from cede.net.pieces cimport keep, keep_rest
from cede.net.stream_state cimport StreamState

cdef enum:
    HABIT = 2
    FORGIVEN = 64
    NEVER = -1073741824
    MOST = 65536

cdef double LATE

cdef class BurstState(StreamState):
    cdef unsigned long long step
    cdef int writes
    cdef int habit
    cdef list held
    cdef Py_ssize_t held_size
    cdef double held_since
    @cython.locals(kernel=Kernel)
    cdef bint begins_burst(self, Py_ssize_t size) except -1
    cdef int hold(self, object data) except -1
    cdef int hold_all(self, list pieces) except -1
    @cython.locals(driver=Driver)
    cdef int open_burst(self) except -1
