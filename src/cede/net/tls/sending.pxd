cimport cython
from cede.core.native.call cimport call_in, is_this_thread
from cede.net.flow_control cimport FlowControl
from cede.net.write_buffer cimport checked
from cede.net.stream.transport cimport StreamTransport
from cede.net.tls.state cimport ENDING, FLUSHING, LOST, OPEN, TLSState

cdef enum:
    RECORD = 16384
    TOGETHER = 4
    AT_ONCE = 65536
    AT_MOST = 1048576

cdef double PACE

cdef tuple AGAIN

cdef class TLSSending(TLSState):
    @cython.locals(taken=Py_ssize_t)
    cdef int accept(self, object data, Py_ssize_t size) except -1
    cdef int keep(self, object data, Py_ssize_t taken) except -1
    cdef Py_ssize_t seal(self, object piece) except -1
    @cython.locals(taken=Py_ssize_t, sealed=Py_ssize_t, pieces=list)
    cdef Py_ssize_t send(self, object data, Py_ssize_t size) except -1
    @cython.locals(flow=FlowControl)
    cdef int let_out(self) except -1
    cdef int push_out(self) except -1
    cdef int enter(self) except -1
    cdef int leave(self) except -1
    cdef bint is_elsewhere(self) except -1
    cdef int write_later(self, object data) except -1
    cdef int catch_up(self) except -1
    cdef int flush(self) except -1
    @cython.locals(done=Py_ssize_t, size=Py_ssize_t, taken=Py_ssize_t, sealed=Py_ssize_t, pieces=list)
    cdef int flush_some(self, list backlog) except -1
    @cython.locals(count=Py_ssize_t, size=Py_ssize_t)
    cdef int join_small(self, list backlog, Py_ssize_t index) except -1
    cdef bint may_send(self) except -1
    cdef int go_on_sending(self) except -1
    cdef int fail(self, object error, str message) except -1
    cdef Py_ssize_t waiting(self) except -1
    cdef int limit_lower(self) except -1

cdef object joined(list pieces)
cdef object plain_stream(object transport)
