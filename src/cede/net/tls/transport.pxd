cimport cython
from cede.net.stream.transport cimport StreamTransport
from cede.net.tls.receiving cimport TLSReceiving
from cede.net.tls.records cimport Records
from cede.net.tls.buffers cimport scratch_of
from cede.net.tls.sending cimport AGAIN, TLSSending, plain_stream
from cede.net.tls.state cimport CLOSING, ENDING, FLUSHING, LOST, MADE, OPEN, SHAKING

cdef class TLSTransport(TLSReceiving):
    cpdef object own_context(self)
    cpdef int attach_to(self, object server) except -1
    cpdef int early(self, object data) except -1
    cdef int connect(self, object lower) except -1
    cdef int open(self) except -1
    cdef int wake_waiter(self, object error) except -1
    cdef int stop_timer(self) except -1
    cdef int lower_full(self) except -1
    cdef int lower_has_room(self) except -1
    cdef int lower_lost(self, object error) except -1
    cdef int finish_flushing(self) except -1
    cdef int say_goodbye(self) except -1
    cdef int push_last(self) except -1
    cdef int tell_end(self) except -1
    cdef int finish(self, object error) except -1

@cython.locals(plain=StreamTransport, tls=TLSSending)
cpdef object context_of(object transport)
