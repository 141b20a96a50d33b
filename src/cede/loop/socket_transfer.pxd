from cede.core.scheduler.task_kernel cimport Spawner

cdef object PLAIN

cdef class Transfers(Spawner):
    pass
