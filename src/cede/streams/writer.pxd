from cede.core.task.operation cimport begin
from cede.streams.flow_control cimport Drain, FlowControlMixin, Outflow, WaitClosed

cdef class StreamWriter(Outflow):
    cdef public object _protocol
    cdef readonly object _loop
    cdef FlowControlMixin flow
