cimport cython
from cede.core.call cimport call_in, call_method_in
from cede.net.state cimport StreamState

cdef class StreamTransport(StreamState):
    cdef int start_reading(self) except -1
    cdef int count_lost_write(self) except -1
    cdef int check_write(self, str method) except -1
    cdef int keep(self, object data, Py_ssize_t taken) except -1
    @cython.locals(count=Py_ssize_t, size=Py_ssize_t)
    cdef int drop(self, Py_ssize_t taken) except -1
    cdef int drained(self) except -1
    cdef int shutdown(self) except -1
    cdef int fail(self, object error, str message) except -1
    cdef int force_close(self, object error) except -1
    cdef int lose(self, object error) except -1
    cdef int finish_closing(self) except -1

@cython.locals(total=Py_ssize_t, size=Py_ssize_t)
cdef Py_ssize_t gather(object list_of_data, list pieces) except -1

cdef object checked(object data, str name)
