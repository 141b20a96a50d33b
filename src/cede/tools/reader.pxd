from cede.tools.inflow cimport Inflow
from cede.tools.operation cimport begin
from cede.tools.reading cimport NextLine, Read, ReadExactly, ReadLine, ReadUntil, WaitForData

cdef class StreamReader(Inflow):
    cdef public object _source_traceback
