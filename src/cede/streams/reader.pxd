from cede.streams.read_buffer cimport ReadBuffer
from cede.core.task.operation cimport begin
from cede.streams.read_operations cimport NextLine, Read, ReadExactly, ReadLine, ReadUntil, WaitForData

cdef class StreamReader(ReadBuffer):
    cdef public object _source_traceback
