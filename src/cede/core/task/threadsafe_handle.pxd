from cede.core.task.handle cimport Handle

cdef extern from "objects.h":
    """
    CEDE_POOL(threadsafe)
    """
    int pool_threadsafe "cede_pool_threadsafe"(object kind) except -1

cdef class ThreadSafeHandle(Handle):
    cdef bint running
    cdef object ended
    cdef int _wait_until_ended(self) except -1
