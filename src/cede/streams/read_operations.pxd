cimport cython
from cede.core.task.awaitable cimport ENDED, FAILED
from cede.streams.read_buffer cimport ReadBuffer
from cede.core.task.operation cimport PARKED, StreamOperation

cdef extern from *:
    """
    #define cede_as_size(n) PyNumber_AsSsize_t(n, NULL)
    """
    Py_ssize_t clipped "cede_as_size"(object n) except? -1

cdef Py_ssize_t as_size(str label, object n) except? -1

cdef class ReadOperation(StreamOperation):
    @cython.locals(flow=ReadBuffer)
    cdef int finish(self, Py_ssize_t count) except -1
    @cython.locals(flow=ReadBuffer)
    cdef int wait(self, str name, Py_ssize_t wanted) except -1
    @cython.locals(flow=ReadBuffer)
    cdef int release(self) except -1
    cdef int fail(self, object error) except -1

cdef class Read(ReadOperation):
    @cython.locals(flow=ReadBuffer)
    cdef int step(self) except -1

cdef class ReadExactly(ReadOperation):
    @cython.locals(flow=ReadBuffer)
    cdef int step(self) except -1

cdef class ReadUntil(ReadOperation):
    @cython.locals(flow=ReadBuffer, held=Py_ssize_t, at=Py_ssize_t, shortest=Py_ssize_t, longest=Py_ssize_t)
    cdef int step(self) except -1
    @cython.locals(at=Py_ssize_t, end=Py_ssize_t, found=Py_ssize_t)
    cdef Py_ssize_t locate(self, ReadBuffer flow) except -2
    cdef int prepare(self, ReadBuffer flow) except -1
    cdef int ended(self, ReadBuffer flow) except -1
    cdef int overrun(self, ReadBuffer flow, str message, Py_ssize_t consumed) except -1

cdef class ReadLine(ReadUntil):
    cdef int prepare(self, ReadBuffer flow) except -1
    cdef int ended(self, ReadBuffer flow) except -1
    cdef int overrun(self, ReadBuffer flow, str message, Py_ssize_t consumed) except -1

cdef class NextLine(ReadLine):
    @cython.locals(outcome=int)
    cdef int step(self) except -1

cdef class WaitForData(ReadOperation):
    cdef int step(self) except -1
