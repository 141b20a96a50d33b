cimport cython
from cede.core.scheduler.task_kernel cimport TaskKernel
from cede.streams.byte_buffer cimport ByteBuffer
from cede.core.task.operation cimport wake

cdef class ReadBuffer(ByteBuffer):
    cdef readonly object _loop
    cdef TaskKernel spawner
    cdef public object _exception
    cdef public object _transport
    cdef public object _waiter
    cdef public bint _eof
    cdef public bint _paused
    cdef object given_limit
    cdef Py_ssize_t limit
    cdef Py_ssize_t wanted

    cdef int set_loop(self, object loop) except -1
    @cython.locals(held=Py_ssize_t)
    cdef int receive(self, object data) except -1
    cdef int finish(self, object error) except -1
    cdef int pause(self) except -1
    cdef object wait(self, str name, Py_ssize_t wanted)
    cdef int forget(self, object waiter) except -1
    cdef int resume_if_low(self) except -1
