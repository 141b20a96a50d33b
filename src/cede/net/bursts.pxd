cimport cython
from cede.core.call cimport is_this_thread
from cede.core.kernel cimport Kernel
from cede.drivers.base cimport Driver
from cede.net.pieces cimport keep, keep_rest
from cede.net.stream_state cimport StreamState

cdef enum:
    HABIT = 2
    FORGIVEN = 64
    BARRED = 1024
    MOST = 65536
    PIECES = 512

cdef class BurstState(StreamState):
    cdef long long step
    cdef int writes
    cdef int habit
    cdef int barred
    cdef list held
    cdef Py_ssize_t held_size
    @cython.locals(kernel=Kernel, driver=Driver, step="long long")
    cdef bint is_held(self, Py_ssize_t size) except -1
    cdef int hold(self, object data) except -1
    cdef int hold_all(self, list pieces) except -1
    cdef int release_if_much(self) except -1
    @cython.locals(driver=Driver)
    cdef int open_burst(self) except -1
    @cython.locals(kernel=Kernel, driver=Driver, taken=Py_ssize_t, size=Py_ssize_t)
    cdef int release(self) except -1
    @cython.locals(taken=Py_ssize_t, count=Py_ssize_t, start=Py_ssize_t, some=list)
    cdef Py_ssize_t send(self, list pieces) except -1
