cimport cython
from cede.core.task.awaitable cimport ENDED, FAILED
from cede.net.flow_control cimport FlowControl
from cede.net.stream.transport cimport StreamTransport
from cede.core.task.attributed cimport Attributed
from cede.streams.read_buffer cimport ReadBuffer
from cede.core.task.operation cimport StreamOperation, begin, new_waiter, wake

cdef class FlowControlMixin(Attributed):
    cdef public object _loop
    cdef public bint _paused
    cdef public bint _connection_lost
    cdef readonly object _lost_with
    cdef readonly list _drain_waiters
    cdef readonly list _close_waiters
    cdef object new_drain_waiter(self)
    cdef object new_close_waiter(self)
    cdef int lose(self, object error) except -1

cdef class WriteFlow(Attributed):
    cdef public object _transport
    cdef public object _reader
    cdef ReadBuffer inflow
    cdef object failure(self)
    @cython.locals(flow=FlowControl)
    cdef int let_out(self) except -1
    @cython.locals(transport=StreamTransport)
    cdef bint closing(self) except -1

cdef class Drain(StreamOperation):
    @cython.locals(flow=FlowControlMixin, outflow=WriteFlow)
    cdef int step(self) except -1
    @cython.locals(flow=FlowControlMixin)
    cdef int release(self) except -1

cdef class WaitClosed(StreamOperation):
    @cython.locals(flow=FlowControlMixin)
    cdef int step(self) except -1
    @cython.locals(flow=FlowControlMixin)
    cdef int release(self) except -1
