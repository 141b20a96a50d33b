# Declarations of sys_epoll.h.

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "sys_epoll.h" nogil:
    ctypedef union epoll_data:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data data
    struct iovec:
        void *iov_base
        size_t iov_len
    enum:
        EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDHUP, EPOLLET, EPOLL_CLOEXEC
        EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL
        EFD_CLOEXEC, EFD_NONBLOCK, F_GETFD
        EINTR, EBADF, EEXIST, ENOENT
        MSG_NOSIGNAL, MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, SHUT_WR
    int errno_now "errno"
    bint would_block "cede_would_block"(int code)
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event *event)
    int make_eventfd "eventfd"(unsigned int value, int flags)
    Py_ssize_t c_read "read"(int fd, void *data, size_t size)
    Py_ssize_t c_write "write"(int fd, const void *data, size_t size)
    int c_close "close"(int fd)
    int c_fcntl "fcntl"(int fd, int command)
    Py_ssize_t c_recv "cede_recv"(int fd, void *data, size_t size, int flags)
    int c_shutdown "shutdown"(int fd, int how)
    int wait_fine "cede_epoll_wait_fine"(int epoll, epoll_event *events, int count, double timeout)
    int wait_coarse "cede_epoll_wait_coarse"(int epoll, epoll_event *events, int count, double timeout)
    int set_nodelay "cede_set_nodelay"(int fd)
    bint is_stream "cede_is_stream"(int fd)
    void set_event "cede_set_event"(epoll_event *event, uint32_t mask, uint32_t generation, uint32_t fd)

cdef extern from "sys_epoll.h":
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    Py_ssize_t c_sendmsg "sendmsg"(int fd, msghdr *message, int flags) nogil
    bint make_reserve "cede_make_reserve"(PyObject **reserve) noexcept
    object received "cede_received"(PyObject **reserve, const char *data, Py_ssize_t size)
    object message "cede_message"(PyObject **last, PyObject **reserve, const char *data, Py_ssize_t size)
    int socket_number "cede_socket_number"(object sock) noexcept
    Py_ssize_t offer_bytes "cede_offer_bytes"(
        list buffers, iovec *vectors, Py_ssize_t at, Py_ssize_t room, Py_ssize_t *total, Py_ssize_t most) noexcept
    Py_ssize_t send_some "cede_send_some"(int fd, const char *data, Py_ssize_t size) noexcept

cdef enum:
    BATCH = 256                 # room for the events of one poll, at first
    SCRATCH = 256 * 1024        # the most that one receive takes; asyncio's figure, and CEDE_SCRATCH
    AT_ONCE = 1024 * 1024       # the most that one call sends of a `SendAll`
    IN_A_ROW = 4096 * 1024      # the most that is sent to one socket before it gives way; see portions.py
    MOST_AT_ONCE = 4096 * 1024  # the most that one call sends for a stream; see portions.py
    LONG_SEND = 64 * 1024       # from this size on, a copy takes long enough to let other threads run
    SMALL_PIECE = 512           # on average; see EpollStream.send_joined
    VECTORS = 1024              # IOV_MAX
    WAKEUP = 0xFFFFFFFF           # marks the event of the wake-up, in place of a descriptor
    SIGNAL_PIPE = 0xFFFFFFFE
