from cede.core.scheduler.kernel cimport Kernel
from cede.core.scheduler.ports cimport COLLECTED, NO_BATCH, TELLING
from cede.drivers.contract cimport READ, WRITE, Acceptor, AcceptSink, Channel, DatagramChannel, Driver, Sink, Stream
cimport cython

cdef enum:
    DATA
    END
    ERROR
    ROOM
    DATAGRAM
    DATAGRAM_ERROR
    CONNECTION

cdef class PythonStream(Stream):
    cdef PythonDriver driver
    cdef object inner
    cdef object waiting
    cpdef put(self, int kind, object value, object address)
    @cython.locals(sink=Sink)
    cdef int tell(self, int kind, object value, object address) except -1
    cdef int tell_into(self, Sink sink) except -1
    @cython.locals(before=int)
    cdef int want(self, int mask) except -1

cdef class PythonDatagrams(DatagramChannel):
    cdef PythonDriver driver
    cdef object inner
    cdef object waiting
    cpdef put(self, int kind, object value, object address)
    @cython.locals(sink=Sink)
    cdef int tell(self, int kind, object value, object address) except -1

cdef class PythonAcceptor(Acceptor):
    cdef PythonDriver driver
    cdef AcceptSink sink
    cdef object inner
    cdef object waiting
    cpdef put(self, int kind, object value, object address)
    cdef int tell(self, int kind, object value, object address) except -1

cdef class PythonDriver(Driver):
    cdef readonly object driver
    cdef Kernel kernel
    cdef readonly dict channels
    cdef list fresh
    cdef list rest
    cdef unsigned int polls
    cdef object ask(self, str method)
    cdef int check_thread(self) except -1
    cdef int record(self, Channel channel, int kind, object value, object address) except -1
    @cython.locals(kernel=Kernel, channel=Channel, generation="unsigned int", kind=int)
    cdef int dispatch(self, unsigned int poll) except -1
    @cython.locals(stream=PythonStream, acceptor=PythonAcceptor)
    cdef int tell_one(self, Channel channel, int kind, object value, object address) except -1
    cdef int tell_datagrams(self, PythonDatagrams channel, int kind, object value, object address) except -1
    cdef int enter(self, object channel) except -1
    cdef int forget(self, Channel channel) except -1
    @cython.locals(stream=PythonStream)
    cpdef Stream open_stream(self, object sock, Sink sink)
    @cython.locals(stream=PythonStream)
    cpdef Stream open_pipe(self, object pipe, Sink sink, bint reading)
    @cython.locals(channel=PythonDatagrams)
    cpdef DatagramChannel open_datagrams(self, object sock, Sink sink)
    @cython.locals(acceptor=PythonAcceptor)
    cpdef Acceptor open_acceptor(self, object sock, object sink, int backlog)
    cdef int drop(self) except -1
