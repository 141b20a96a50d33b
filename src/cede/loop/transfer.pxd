from cede.core.spawn cimport Spawner

cdef object PLAIN

cdef class Transfers(Spawner):
    pass
