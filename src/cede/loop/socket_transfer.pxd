from cede.core.scheduler.task_kernel cimport TaskKernel

cdef object PLAIN

cdef class SocketTransfer(TaskKernel):
    pass
