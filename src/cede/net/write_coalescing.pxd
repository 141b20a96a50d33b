cimport cython
from cede.core.native.call cimport is_this_thread
from cede.core.scheduler.kernel cimport Kernel
from cede.net.write_buffer cimport keep, keep_rest
from cede.net.stream.state cimport StreamState

cdef enum:
    STREAK = 2
    FORGIVEN = 64
    BARRED = 1024
    MOST = 65536
    PIECES = 512

cdef double TOO_LONG
cdef double NOT_YET

cdef class BurstState(StreamState):
    cdef long long step
    cdef int writes
    cdef int multi_write_streak
    cdef list held
    cdef Py_ssize_t held_size
    cdef double held_since
    @cython.locals(kernel=Kernel, step="long long")
    cdef bint is_held(self, Py_ssize_t size) except -1
    @cython.locals(first=bint)
    cdef int hold(self, list pieces) except -1
    @cython.locals(pieces=list, late=bint)
    cdef int send_held(self, bint between) except -1
    @cython.locals(taken=Py_ssize_t)
    cdef int send_all(self, list pieces, Py_ssize_t size, bint between) except -1
