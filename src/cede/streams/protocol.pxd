from cede.streams.read_buffer cimport ReadBuffer
from cede.streams.flow_control cimport FlowControlMixin
from cede.streams.reader cimport StreamReader

cdef class StreamReaderProtocol(FlowControlMixin):
    cdef readonly object _stream_reader
    cdef ReadBuffer inflow
    cdef public object _client_connected_cb
    cdef public object _transport
    cdef public object _task
    cdef public bint _over_ssl
    cdef public object _source_traceback

    cdef int serve(self, object transport) except -1

cdef class HandlerWatch:
    cdef object loop
    cdef object transport
    cdef int report(self, object error) except -1
