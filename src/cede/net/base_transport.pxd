from cede.core.native.call cimport call_in
from cede.core.scheduler.kernel cimport Kernel
from cede.drivers.contract cimport Owned, Sink

cdef class BaseTransport(Sink):
    cdef Kernel kernel
    cdef object protocol
    cdef object context
    cdef object extra
    cdef int lost
    cdef unsigned char made
    cdef unsigned char closing
    cdef int prepare(self, Kernel loop, object protocol, object extra, object context) except -1
    cdef int begin(self) except -1
    cdef Owned channel_of(self)
    cdef bint wind_up(self) except -1
    cdef int stop(self) except -1
    cdef bint is_expected(self, object error) except -1
    cdef int fail(self, object error, str message) except -1
    cdef int force_close(self, object error) except -1
    cdef int lose(self, object error) except -1
    cdef int lose_in_place(self) except -1
    cdef int finish_closing(self) except -1
    cdef int report(self, str message, object error) except -1
