from cede.tools.sync.bound cimport LoopBound
from cede.tools.sync.waiters cimport CompiledWaiters

cdef class Lined(LoopBound):
    cdef CompiledWaiters waiting
    cdef CompiledWaiters line(self)
    cdef object kept(self)
