from cpython.object cimport PyObject
from cede.drivers.selector.streams cimport PortableDriver
from cede.drivers.epoll.sys_epoll cimport epoll_event, uint32_t

cdef object plain_socket
cdef bint native

cdef object os_error(int code)

cdef class EpollWaiter(PortableDriver):
    cdef readonly bint closed
    cdef int epoll
    cdef int event_fd
    cdef bint rung
    cdef bint signalled
    cdef bint fine
    cdef int born
    cdef int signal_reader  # the ends of the pipe that signals write into
    cdef int signal_writer
    cdef PyObject **table
    cdef Py_ssize_t capacity
    cdef epoll_event *events
    cdef int room
    cdef int position
    cdef int count
    cdef char *scratch
    cdef PyObject *last
    cdef PyObject *reserve  # see cede_make_reserve
    cdef int give_back(self) noexcept
    cdef int make_room(self, int fd) except -1
    cdef int listen(self, int fd, uint32_t mark) except -1
    cdef int widen(self) except -1
    cdef int sort_out(self, int count) except -1
    cdef int dispatch(self, unsigned int poll) except -1
    cdef int drain_wakeup(self, bint signals) except -1
