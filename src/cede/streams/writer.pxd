from cede.core.task.operation cimport begin
from cede.streams.flow_control cimport Drain, FlowControlMixin, WriteFlow, WaitClosed

cdef class StreamWriter(WriteFlow):
    cdef public object _protocol
    cdef readonly object _loop
    cdef FlowControlMixin flow
