cimport cython
from cede.core.scheduler.ports cimport AfterStep, DriverPort

cdef enum:
    READ = 1
    WRITE = 2

cdef class Sink(AfterStep):
    cdef readonly bint buffered
    cdef int received(self, object data) except -1
    cdef object get_buffer(self)
    cdef int buffer_updated(self, Py_ssize_t count) except -1
    cdef int eof(self) except -1
    cdef int received_from(self, object data, object address) except -1
    cdef int datagram_failed(self, object error) except -1
    cdef int read_failed(self, object error) except -1
    cdef int writable(self) except -1

cdef class Address:
    cpdef object unpacked(self)

cdef class Channel:
    cdef readonly int fd
    cdef readonly int wanted
    cdef readonly int armed
    cdef readonly bint edge
    cdef readonly unsigned int generation
    cdef unsigned int stamp
    cdef int fresh
    cdef int fire(self, int events) except -1
    cdef int hold_sink(self) except -1
    cdef int let_sink_go(self) except -1

cdef class Owned(Channel):
    cdef readonly object sock
    cdef readonly bint closed
    cdef Sink sink
    cpdef int close(self) except -1
    cdef Sink owner(self)
    cdef object own_address(self)
    cdef object peer_address(self)

cdef class Stream(Owned):
    cdef object resting
    @cython.locals(sink=Sink)
    cdef int let_sink_go(self) except -1
    cpdef int resume(self) except -1
    cpdef int pause(self) except -1
    cpdef Py_ssize_t write(self, object data, Py_ssize_t start) except -2
    cpdef Py_ssize_t writev(self, list buffers) except -2
    cpdef int want_writable(self, bint on) except -1
    cpdef Py_ssize_t send_file(self, int file, long long offset, Py_ssize_t count) except -2
    cpdef int shutdown_write(self) except -1

cdef class DatagramChannel(Owned):
    cdef bint telling
    cdef bint held
    cpdef int resume(self) except -1
    cpdef int pause(self) except -1
    cpdef int send(self, object data, object address) except -1
    cpdef object target(self, object address)
    cpdef Py_ssize_t send_many(self, list datagrams) except -1
    cpdef int want_writable(self, bint on) except -1

cdef class AcceptSink:
    cdef object __weakref__
    cpdef int accepted(self, object sock, object address) except -1
    cpdef int accept_failed(self, object error) except -1

cdef class Acceptor(Channel):
    cdef readonly object sock
    cdef readonly bint closed
    cpdef int start(self) except -1
    cpdef int stop(self) except -1
    cpdef int close(self) except -1

cdef class Driver(DriverPort):
    cpdef int attach(self, object kernel) except -1
    cpdef int wakeup_fd(self) except -2
    cpdef object make_socket(self, int family, int kind, int proto)
    cpdef object resolve(self, object host, object port, int family, int kind, int proto, int flags)
    cpdef Stream open_stream(self, object sock, Sink sink)
    cpdef DatagramChannel open_datagrams(self, object sock, Sink sink)
    cpdef Stream open_pipe(self, object pipe, Sink sink, bint reading)
    cpdef Acceptor open_acceptor(self, object sock, object sink, int backlog)
    cpdef object stream_owner(self, int fd)
    cpdef object op_recv(self, object sock, Py_ssize_t count)
    cpdef object op_recv_into(self, object sock, object buffer)
    cpdef object op_recvfrom(self, object sock, Py_ssize_t count)
    cpdef object op_recvfrom_into(self, object sock, object buffer, Py_ssize_t count)
    cpdef object op_sendall(self, object sock, object data)
    cpdef object op_sendto(self, object sock, object data, object address)
    cpdef object op_sendfile(self, object sock, int file, long long offset, long long count)
    cpdef object op_accept(self, object sock)
    cpdef object op_connect(self, object sock, object address)
    cpdef int add_reader(self, int fd, object handle) except -1
    cpdef bint remove_reader(self, int fd) except -1
    cpdef int add_writer(self, int fd, object handle) except -1
    cpdef bint remove_writer(self, int fd) except -1
    cpdef int after_fork(self) except -1
    cpdef int close(self) except -1
