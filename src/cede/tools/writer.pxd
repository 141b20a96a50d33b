from cede.tools.operation cimport begin
from cede.tools.outflow cimport Drain, FlowControlMixin, Outflow, WaitClosed

cdef class StreamWriter(Outflow):
    cdef public object _protocol
    cdef readonly object _loop
    cdef FlowControlMixin flow
