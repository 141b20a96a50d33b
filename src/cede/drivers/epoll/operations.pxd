cimport cython
from cede.drivers.epoll.waiter cimport EpollWaiter
from cede.drivers.socket_operations cimport Connect, SocketOperation

cdef class NativeOperation(SocketOperation):
    cdef EpollWaiter epoll
    cdef int failed(self, int code) except -1

@cython.final
cdef class NativeReceive(NativeOperation):
    cdef Py_ssize_t count
    cdef int receive_message(self, int fd) except -1

@cython.final
cdef class NativeReceiveInto(NativeOperation):
    cdef object buffer

@cython.final
cdef class NativeSendAll(NativeOperation):
    cdef object data
    cdef Py_ssize_t sent
    cdef bint exported
    cdef bint enough
    cdef Py_ssize_t send_from(self, const char *data, Py_ssize_t size) noexcept

@cython.final
cdef class NativeConnect(Connect):
    pass
