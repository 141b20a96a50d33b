cimport cython
from cede.core.native.call cimport current_frame, failure_of

cpdef object creation_stack()

cdef class Runnable:
    cdef bint is_task
    cdef int run_ready(self) except -1
    cdef int notice(self, object future) except -1

@cython.trashcan(True)
cdef class Handle(Runnable):
    cdef public object _callback
    cdef public tuple _args
    cdef public object _loop
    cdef public object _context
    cdef public bint _cancelled
    cdef public object _repr
    cdef public object _source_traceback
    cdef object __weakref__
    cdef int _failed(self, object error) except -1
    cpdef list _describe(self)
    cpdef cancel(self)

cpdef int report_failure(Handle handle, str message, object error) except -1
cdef str source_of(object callback, object args)
