from cede.streams.read_buffer cimport Inflow
from cede.core.task.operation cimport begin
from cede.streams.read_operations cimport NextLine, Read, ReadExactly, ReadLine, ReadUntil, WaitForData

cdef class StreamReader(Inflow):
    cdef public object _source_traceback
