cimport cython
from cede.core.task.awaitable cimport ENDED
from cede.core.task.operation cimport begin
from cede.sync.loop_bound cimport LoopBound
from cede.sync.parking_lot cimport CompiledParkingLot, Waiting

cdef class BarrierWait(Waiting):
    @cython.locals(barrier=Barrier)
    cdef int step(self) except -1
    @cython.locals(barrier=Barrier)
    cdef int enter(self) except -1
    @cython.locals(barrier=Barrier)
    cdef int release(self) except -1

cdef class BarrierChange(Waiting):
    @cython.locals(barrier=Barrier)
    cdef int step(self) except -1

cdef class Barrier(LoopBound):
    cdef readonly object _parties
    cdef readonly Py_ssize_t _count
    cdef readonly Py_ssize_t _open
    cdef str state
    cdef CompiledParkingLot inside
    cdef CompiledParkingLot outside
    cdef object waiting(self)
    cdef object changing(self, object broken)
    cdef int trip(self) except -1
    cdef int open_again(self) except -1
    cdef int leave(self) except -1
    cdef int change(self, bint broken) except -1
