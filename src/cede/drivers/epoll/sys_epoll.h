/* The few things the epoll driver needs that no Python header declares. */

#ifndef CEDE_SYS_EPOLL_H
#define CEDE_SYS_EPOLL_H

#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* the same number on every architecture that Linux gave it to */
#endif

/* The kernel's own 64-bit timespec: libc's may be smaller on 32-bit systems. */
struct cede_timespec {
    int64_t seconds;
    int64_t nanoseconds;
};

/* libc's recv() and send() are cancellation points of threads, for which they prepare at each call in a process with threads. Our calls never
   block, so the bare system calls are enough. A sanitizer knows only libc's. */
#if defined(SYS_recvfrom) && defined(SYS_sendto) && !defined(__SANITIZE_ADDRESS__)
static inline Py_ssize_t
cede_recv(int fd, void *data, size_t size, int flags)
{
    return syscall(SYS_recvfrom, fd, data, size, flags, NULL, NULL);
}

static inline Py_ssize_t
cede_send(int fd, const void *data, size_t size, int flags)
{
    return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}
#else
#define cede_recv recv
#define cede_send send
#endif

/* What one receive takes at most; see SCRATCH. */
#define CEDE_SCRATCH (256 * 1024)

/* Allocates room for the largest message before anything is received. If memory is short afterwards, this object becomes the message, so
   received data always has one. Nothing touches its pages until then. Returns 0 if there is no memory for it. */
static inline int
cede_make_reserve(PyObject **reserve)
{
    if (*reserve == NULL && (*reserve = PyBytes_FromStringAndSize(NULL, CEDE_SCRATCH)) == NULL)
        PyErr_Clear();
    return *reserve != NULL;
}

/* A message in a bytes object; *reserve is there. */
static inline PyObject *
cede_received(PyObject **reserve, const char *data, Py_ssize_t size)
{
    PyObject *fresh = PyBytes_FromStringAndSize(data, size);
    if (fresh == NULL && *reserve != NULL) {
        PyErr_Clear();
        fresh = *reserve;
        *reserve = NULL;
        memcpy(PyBytes_AS_STRING(fresh), data, (size_t)size);
        PyBytes_AS_STRING(fresh)[size] = 0;
        Py_SET_SIZE((PyVarObject *)fresh, size); /* the object keeps more memory than it needs, which does no harm */
    }
    return fresh;
}

/* The same, for messages of one size that follow one another, as of an echo or a stream of blocks: it reuses the object of the previous
   message if nobody else holds it and the sizes agree. Only for sizes that the interpreter's own allocator passes on to malloc. *last keeps
   the object for the next time. */
#define CEDE_WORTH_KEEPING 512

static inline PyObject *
cede_message(PyObject **last, PyObject **reserve, const char *data, Py_ssize_t size)
{
#ifndef Py_GIL_DISABLED
    PyObject *kept = *last;
    if (size > CEDE_WORTH_KEEPING) {
        if (kept != NULL && Py_REFCNT(kept) == 1 && PyBytes_GET_SIZE(kept) == size) {
            memcpy(PyBytes_AS_STRING(kept), data, (size_t)size);
            _Py_COMP_DIAG_PUSH
            _Py_COMP_DIAG_IGNORE_DEPR_DECLS
            ((PyBytesObject *)kept)->ob_shash = -1; /* the hash of the previous content */
            _Py_COMP_DIAG_POP
            return Py_NewRef(kept);
        }
        PyObject *fresh = cede_received(reserve, data, size);
        if (*reserve != NULL)
            Py_XSETREF(*last, Py_NewRef(fresh));
        return fresh;
    }
#endif
    return cede_received(reserve, data, size);
}

/* timeout in seconds, negative for ever. Both variants round up, because a sleep that ends early needs a second one. */
static inline int
cede_epoll_wait_fine(int epoll, struct epoll_event *events, int count, double timeout)
{
    struct cede_timespec until, *limit = NULL;
    if (timeout >= 0.0) {
        until.seconds = (int64_t)timeout;
        until.nanoseconds = (int64_t)ceil((timeout - (double)until.seconds) * 1e9);
        if (until.nanoseconds >= 1000000000) {
            until.seconds += 1;
            until.nanoseconds -= 1000000000;
        }
        limit = &until;
    }
    return (int)syscall(SYS_epoll_pwait2, epoll, events, count, limit, NULL, (size_t)0);
}

static inline int
cede_epoll_wait_coarse(int epoll, struct epoll_event *events, int count, double timeout)
{
    int milliseconds = -1;
    if (timeout >= 0.0)
        milliseconds = timeout > 2000000.0 ? 2000000000 : (int)ceil(timeout * 1e3);
    return epoll_wait(epoll, events, count, milliseconds);
}

static inline void
cede_set_event(struct epoll_event *event, uint32_t mask, uint32_t generation, uint32_t fd)
{
    event->events = mask;
    event->data.u64 = ((uint64_t)generation << 32) | fd;
}

/* EAGAIN and EWOULDBLOCK are one number on Linux. An interrupted call that took nothing counts as one that would block: the caller retries. */
static inline int
cede_would_block(int code)
{
    return code == EAGAIN || code == EINTR;
}

/* The descriptor inside a socket object, read where CPython keeps it: right behind the object's head. It is -1 once anybody has closed
   or detached the socket. Reading it costs nothing, so the driver reads it before each use of the number; a call of fileno() would cost
   40 ns. waiter.pyx checks at import that the field is where this function reads it. */
static inline int
cede_socket_number(PyObject *sock)
{
    int fd;
    memcpy(&fd, (char *)sock + sizeof(PyObject), sizeof fd);
    return fd;
}

/* Whether the socket is a byte stream, so that a receive may take a part of the data; of a message the rest would be lost. */
static inline int
cede_is_stream(int fd)
{
    int kind = SOCK_STREAM;
    socklen_t size = sizeof kind;
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &size);
    return kind == SOCK_STREAM;
}

static inline int
cede_set_nodelay(int fd)
{
    int on = 1;
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* From this size on, a copy takes long enough to let other threads run. */
#define CEDE_LONG_SEND (64 * 1024)

/* Puts the bytes objects of a list into `vectors`, from index `at` on, until the list has another kind of object, `room` vectors are full, or
   *total is `most`. Returns the index of the first object that it left out. */
static inline Py_ssize_t
cede_offer_bytes(PyObject *list, struct iovec *vectors, Py_ssize_t at, Py_ssize_t room, Py_ssize_t *total, Py_ssize_t most)
{
    Py_ssize_t sum = *total;
    for (; at < PyList_GET_SIZE(list) && at < room && sum < most; at++) {
        PyObject *piece = PyList_GET_ITEM(list, at);
        if (!PyBytes_CheckExact(piece))
            break;
        Py_ssize_t size = PyBytes_GET_SIZE(piece);
        if (size > most - sum)
            size = most - sum;
        vectors[at].iov_base = PyBytes_AS_STRING(piece);
        vectors[at].iov_len = (size_t)size;
        sum += size;
    }
    *total = sum;
    return at;
}

/* Sends. Returns the number of bytes taken, 0 if there is no room, or the negated errno. The caller keeps `data` alive. */
static inline Py_ssize_t
cede_send_some(int fd, const char *data, Py_ssize_t size)
{
    Py_ssize_t count;
    if (size >= CEDE_LONG_SEND) {
        Py_BEGIN_ALLOW_THREADS
        count = cede_send(fd, data, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0)
            count = -(Py_ssize_t)errno;
        Py_END_ALLOW_THREADS
    }
    else {
        count = cede_send(fd, data, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0)
            count = -(Py_ssize_t)errno;
    }
    return count < 0 && cede_would_block((int)-count) ? 0 : count;
}

#endif
