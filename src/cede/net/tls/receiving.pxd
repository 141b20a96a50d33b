cimport cython
from cede.net.tls.buffers cimport Scratch, head_of
from cede.net.tls.sending cimport AGAIN, RECORD, TLSSending
from cede.net.tls.state cimport CLOSING, ENDING, FLUSHING, OPEN, SHAKING

cdef enum:
    LARGEST_ANSWER = 65536
    LARGEST_STRAY = 65536

cdef class TLSReceiving(TLSSending):
    cdef object lend(self)
    @cython.locals(scratch=Scratch, memory=bytearray)
    cdef int arrived(self, Py_ssize_t count) except -1
    @cython.locals(memory=bytearray)
    cdef int arrived_apart(self, object data) except -1
    cdef int catch_up(self) except -1
    cdef int take(self, bytearray memory, object view, Py_ssize_t count) except -1
    cdef int answer(self) except -1
    cdef int take_nested(self, bytearray memory, object view, Py_ssize_t count) except -1
    @cython.locals(start=Py_ssize_t)
    cdef int put_rest_by(self) except -1
    @cython.locals(start=Py_ssize_t, size=Py_ssize_t)
    cdef int read_records(self, bytearray memory, object view, Py_ssize_t count) except -1
    cdef int read_rest(self) except -1
    cdef int read_alone(self, Py_ssize_t size) except -1
    @cython.locals(room=Py_ssize_t, count=Py_ssize_t)
    cdef bint read(self, Py_ssize_t size, bint to_the_end) except -1
    cdef object decrypt(self, Py_ssize_t size)
    cdef bint gather(self) except -1
    cdef bint borrow(self, Py_ssize_t size) except -1
    @cython.locals(count=Py_ssize_t)
    cdef Py_ssize_t decrypt_into(self, Py_ssize_t room) except -1
    @cython.locals(memory=bytearray)
    cdef int hand_over(self) except -1
    cdef int tell(self, object data) except -1
    cdef bint halted(self) except -1
    cdef bint leave_rest(self) except -1
    cdef int end_of_batch(self) except -1
    cdef int drop_rest(self) except -1
    cdef int read_later(self) except -1
    cdef int shake(self) except -1
    cdef int peer_ended(self) except -1
    cdef int lower_ended(self) except -1
    cdef int part(self) except -1
