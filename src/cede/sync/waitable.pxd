from cede.sync.loop_bound cimport LoopBound
from cede.sync.parking_lot cimport CompiledParkingLot

cdef class Waitable(LoopBound):
    cdef CompiledParkingLot waiting
    cdef CompiledParkingLot line(self)
    cdef object kept(self)
