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

/* libc's recv() and send() are places where a thread may be cancelled, which they prepare for at each call of a process with threads; these
   never block, so the bare system calls do. A sanitizer knows only libc's. */
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

/* Room for the largest message, made before anything is taken from the system. Where memory is short it is the message's object: what was
   taken is never without one. Nothing touches its pages until then. 0 where there is no memory for it. */
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
        Py_SET_SIZE((PyVarObject *)fresh, size); /* it lies in more memory than it needs, which nothing minds */
    }
    return fresh;
}

/* The same, where messages of a size follow one another. The object of the message before is used again where nobody else holds it and the sizes agree: an echo, a
   stream of blocks. Only for what the interpreter's own allocator would pass on to malloc. *last keeps it, for the next time. */
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
            ((PyBytesObject *)kept)->ob_shash = -1; /* it was another value's */
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

/* timeout in seconds, below 0 for ever. Both variants round up: to wake before the time is to wake twice. */
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

/* EAGAIN and EWOULDBLOCK are one number on Linux; an interrupted call that took nothing is tried again like one that would block. */
static inline int
cede_would_block(int code)
{
    return code == EAGAIN || code == EINTR;
}

/* The descriptor inside a socket object, read where CPython keeps it: first behind the object's head. It is -1 once the socket
   is closed or detached, whoever did that. Reading it costs nothing, so it is read before each use of the number; a call of
   fileno() would cost 40 ns. Whether the field is where we think is checked when the module is imported (see driver.pyx). */
static inline int
cede_socket_number(PyObject *sock)
{
    int fd;
    memcpy(&fd, (char *)sock + sizeof(PyObject), sizeof fd);
    return fd;
}

/* Whether bytes flow through the socket, so that a part of them may be taken and the rest later; of a message the rest would be lost. */
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

/* From here on the copy takes long enough to let other threads run meanwhile. */
#define CEDE_LONG_SEND (64 * 1024)

/* Puts bytes objects of a list into `vectors`, from number `at` on: until there is another thing in the list, or `room` vectors are full, or
   *total is `most`. Returns the number of the first that was not put there. It is the whole of a `writelines` of many small pieces. */
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

/* Bytes taken, 0 where there is no room, or the negated errno. The caller keeps `data` alive. */
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
