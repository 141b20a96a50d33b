from cede.sync.loop_bound cimport LoopBound
from cede.sync.parking_lot cimport CompiledWaiters

cdef class Lined(LoopBound):
    cdef CompiledWaiters waiting
    cdef CompiledWaiters line(self)
    cdef object kept(self)
