/* Batches of datagrams, and addresses between the kernel's form and Python's.

   socket.recvfrom() allocates for the largest datagram each time and makes a new address each time; recvmmsg and sendmmsg have no Python
   name at all. What Python's own parser of addresses knows beyond numbers (names, scopes, other families) is left to it. */

#ifndef CEDE_SYS_DATAGRAM_H
#define CEDE_SYS_DATAGRAM_H

#include <Python.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "dotted.h"
#include "sys_epoll.h"

#define CEDE_BATCH 16                   /* datagrams of one receive, at most */
#define CEDE_FLUSH 64                   /* datagrams of one send, at most */
#define CEDE_ROOM (64 * 1024)           /* each has that much room: more than an internet datagram can be */
#define CEDE_SHARED 1232                /* the largest that share a message: what fits the least MTU of IPv6 is never too large for a device */
#define CEDE_SHARE 64                   /* as many at once is what the first kernels with UDP_SEGMENT took */
#define CEDE_KNOWN 128                  /* senders whose addresses are kept ready, a power of two */

typedef struct {
    struct sockaddr_storage raw;
    socklen_t size;
} cede_address;

typedef struct {
    struct mmsghdr headers[CEDE_BATCH];
    struct iovec vectors[CEDE_BATCH];
    cede_address from[CEDE_BATCH];
    cede_address known[CEDE_KNOWN];
    PyObject *known_as[CEDE_KNOWN];
    char *room;                         /* CEDE_BATCH * CEDE_ROOM bytes; the kernel gives a page when it is first written to */
} cede_batch;

static inline int
cede_batch_open(cede_batch *batch)
{
    memset(batch, 0, sizeof *batch);
    batch->room = mmap(NULL, CEDE_BATCH * CEDE_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (batch->room == MAP_FAILED) {
        batch->room = NULL;
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static inline void
cede_batch_forget(cede_batch *batch)
{
    for (int i = 0; i < CEDE_KNOWN; i++)
        Py_CLEAR(batch->known_as[i]);
}

static inline void
cede_batch_close(cede_batch *batch)
{
    cede_batch_forget(batch);
    if (batch->room != NULL)
        munmap(batch->room, CEDE_BATCH * CEDE_ROOM);
    batch->room = NULL;
}

/* Receives up to `count` datagrams, each with `room` bytes (count * room <= CEDE_BATCH * CEDE_ROOM). How many, or the negated errno. */
static inline int
cede_batch_receive(cede_batch *batch, int fd, int count, size_t room)
{
    for (int i = 0; i < count; i++) {
        batch->vectors[i].iov_base = batch->room + (size_t)i * room;
        batch->vectors[i].iov_len = room;
        struct msghdr *header = &batch->headers[i].msg_hdr;
        memset(header, 0, sizeof *header);
        header->msg_iov = &batch->vectors[i];
        header->msg_iovlen = 1;
        header->msg_name = &batch->from[i].raw;
        header->msg_namelen = sizeof batch->from[i].raw;
    }
    if (count == 1) { /* the usual case has a cheaper call of its own */
        Py_ssize_t size = recvmsg(fd, &batch->headers[0].msg_hdr, MSG_DONTWAIT);
        if (size < 0)
            return -errno;
        batch->headers[0].msg_len = (unsigned int)size;
        return 1;
    }
    int taken = recvmmsg(fd, batch->headers, (unsigned int)count, MSG_DONTWAIT, NULL);
    return taken < 0 ? -errno : taken;
}

static inline PyObject *
cede_batch_data(cede_batch *batch, int index)
{
    return PyBytes_FromStringAndSize(batch->vectors[index].iov_base, batch->headers[index].msg_len);
}

static inline PyObject *
cede_dotted(const struct in_addr *address)
{
    char text[INET_ADDRSTRLEN];
    return PyUnicode_FromStringAndSize(text, cede_write_dotted(address, text));
}

/* An address as the socket module would give it. */
static inline PyObject *
cede_make_address(const struct sockaddr *raw, socklen_t size)
{
    char text[INET6_ADDRSTRLEN];
    if (size == 0)
        Py_RETURN_NONE;
    if (raw->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)raw;
        return Py_BuildValue("Ni", cede_dotted(&in->sin_addr), (int)ntohs(in->sin_port));
    }
    if (raw->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)raw;
        inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
        return Py_BuildValue("siII", text, (int)ntohs(in->sin6_port), (unsigned int)ntohl(in->sin6_flowinfo), (unsigned int)in->sin6_scope_id);
    }
    const struct sockaddr_un *local = (const struct sockaddr_un *)raw;
    Py_ssize_t length = (Py_ssize_t)size - (Py_ssize_t)offsetof(struct sockaddr_un, sun_path);
    if (length <= 0)
        Py_RETURN_NONE; /* a sender without a name: nobody could answer it */
    if (local->sun_path[0] == 0)
        return PyBytes_FromStringAndSize(local->sun_path, length);
    return PyUnicode_DecodeFSDefaultAndSize(local->sun_path, (Py_ssize_t)strnlen(local->sun_path, (size_t)length));
}

/* Takes one connection off a listening socket: its descriptor, non-blocking and not inherited, or the negated errno. */
static inline int
cede_accept(int fd, cede_address *peer)
{
    peer->size = sizeof peer->raw;
    int connection = accept4(fd, (struct sockaddr *)&peer->raw, &peer->size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return connection < 0 ? -errno : connection;
}

/* The peer's address as socket.accept() would give it. */
static inline PyObject *
cede_peer(const cede_address *peer)
{
    if (peer->raw.ss_family == AF_UNIX && peer->size <= offsetof(struct sockaddr_un, sun_path))
        return PyUnicode_FromString(""); /* a client without a name: nearly all of them */
    return cede_make_address((const struct sockaddr *)&peer->raw, peer->size);
}

/* The address of this end of an internet socket, as getsockname() of the socket module would give it; None for other kinds of socket, and
   where the system has no answer. */
static inline PyObject *
cede_own_end(int fd)
{
    cede_address end;
    end.size = sizeof end.raw;
    if (getsockname(fd, (struct sockaddr *)&end.raw, &end.size) < 0 || (end.raw.ss_family != AF_INET && end.raw.ss_family != AF_INET6))
        Py_RETURN_NONE;
    return cede_make_address((const struct sockaddr *)&end.raw, end.size);
}

#define CEDE_PACKED sizeof(struct sockaddr_in6)

/* Copies an internet address as it is; its size, or 0 for an address of another family. */
static inline int
cede_pack_address(const cede_address *address, unsigned char *into)
{
    if ((address->raw.ss_family != AF_INET && address->raw.ss_family != AF_INET6) || address->size > CEDE_PACKED)
        return 0;
    memcpy(into, &address->raw, address->size);
    return (int)address->size;
}

/* The same for the peer of a connected socket; 0 where the system has no answer, too. */
static inline int
cede_pack_other_end(int fd, unsigned char *into)
{
    cede_address end;
    end.size = sizeof end.raw;
    return getpeername(fd, (struct sockaddr *)&end.raw, &end.size) < 0 ? 0 : cede_pack_address(&end, into);
}

static inline PyObject *
cede_unpack_address(const unsigned char *packed, int size)
{
    struct sockaddr_storage raw; /* aligned, as what was packed need not be */
    memcpy(&raw, packed, (size_t)size);
    return cede_make_address((const struct sockaddr *)&raw, (socklen_t)size);
}

/* The outcome of a connection attempt: 0 if there is a peer, the negated errno if it failed, 1 while neither is known. An event may come from
   an earlier state of the socket, so it is connected only if it has a peer. */
static inline int
cede_connected(int fd)
{
    int failure = 0;
    socklen_t size = sizeof failure;
    cede_address peer;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0)
        return -errno;
    if (failure != 0)
        return -failure;
    peer.size = sizeof peer.raw;
    if (getpeername(fd, (struct sockaddr *)&peer.raw, &peer.size) < 0)
        return errno == ENOTCONN ? 1 : -errno;
    return 0;
}

/* The sender of a received datagram. A sender that is known already gets the same object again, without formatting or allocation. */
static inline PyObject *
cede_batch_sender(cede_batch *batch, int index)
{
    const struct sockaddr *raw = (const struct sockaddr *)&batch->from[index].raw;
    socklen_t size = batch->headers[index].msg_hdr.msg_namelen;
    uint32_t hash;
    if (raw->sa_family == AF_INET && size == sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)raw;
        hash = ntohl(in->sin_addr.s_addr) * 31u + ntohs(in->sin_port);
    }
    else if (raw->sa_family == AF_INET6 && size == sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)raw;
        uint32_t words[4];
        memcpy(words, &in->sin6_addr, sizeof words);
        hash = (words[0] ^ words[1] * 3u ^ words[2] * 5u ^ ntohl(words[3])) * 31u + ntohs(in->sin6_port);
    }
    else
        return cede_make_address(raw, size);
    hash = (hash ^ hash >> 7 ^ hash >> 16) & (CEDE_KNOWN - 1);
    cede_address *known = &batch->known[hash];
    if (batch->known_as[hash] != NULL && known->size == size && !memcmp(&known->raw, raw, size))
        return Py_NewRef(batch->known_as[hash]);
    PyObject *made = cede_make_address(raw, size);
    if (made != NULL) {
        memcpy(&known->raw, raw, size);
        known->size = size;
        Py_XSETREF(batch->known_as[hash], Py_NewRef(made));
    }
    return made;
}

static inline int
cede_small_int(PyObject *number, long most, long *value)
{
    if (!PyLong_CheckExact(number))
        return 0;
    *value = PyLong_AsLong(number);
    if (*value == -1 && PyErr_Occurred())
        PyErr_Clear();
    return 0 <= *value && *value <= most;
}

static inline int
cede_number_text(PyObject *host, const char **text)
{
    Py_ssize_t length;
    if (!PyUnicode_CheckExact(host) || !PyUnicode_IS_ASCII(host))
        return 0;
    *text = PyUnicode_AsUTF8AndSize(host, &length);
    return *text != NULL && length < INET6_ADDRSTRLEN && strlen(*text) == (size_t)length;
}

/* Writes `address` in the kernel's form. Returns 0 if it is not spelt out in numbers (or is no address): the socket module decides then. */
static inline int
cede_parse_address(int family, PyObject *address, cede_address *to)
{
    const char *text;
    long port, number;
    memset(&to->raw, 0, sizeof(struct sockaddr_in6));
    to->raw.ss_family = (sa_family_t)family;
    if (family == AF_UNIX) {
        struct sockaddr_un *local = (struct sockaddr_un *)&to->raw;
        Py_ssize_t length;
        if (!PyUnicode_CheckExact(address) || !PyUnicode_IS_ASCII(address))
            return 0;
        text = PyUnicode_AsUTF8AndSize(address, &length);
        if (text == NULL || length == 0 || length >= (Py_ssize_t)sizeof local->sun_path || strlen(text) != (size_t)length)
            return 0;
        memcpy(local->sun_path, text, (size_t)length + 1);
        to->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length + 1);
        return 1;
    }
    if (!PyTuple_CheckExact(address) || PyTuple_GET_SIZE(address) < 2)
        return 0;
    if (!cede_number_text(PyTuple_GET_ITEM(address, 0), &text) || !cede_small_int(PyTuple_GET_ITEM(address, 1), 0xFFFF, &port))
        return 0;
    if (family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)&to->raw;
        if (PyTuple_GET_SIZE(address) != 2 || inet_pton(AF_INET, text, &in->sin_addr) != 1)
            return 0;
        in->sin_port = htons((uint16_t)port);
        to->size = sizeof *in;
        return 1;
    }
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)&to->raw;
    if (PyTuple_GET_SIZE(address) > 4 || inet_pton(AF_INET6, text, &in->sin6_addr) != 1)
        return 0;
    in->sin6_port = htons((uint16_t)port);
    if (PyTuple_GET_SIZE(address) > 2) {
        if (!cede_small_int(PyTuple_GET_ITEM(address, 2), 0xFFFFF, &number))
            return 0;
        in->sin6_flowinfo = htonl((uint32_t)number);
    }
    if (PyTuple_GET_SIZE(address) > 3) {
        if (!cede_small_int(PyTuple_GET_ITEM(address, 3), 0x7FFFFFFF, &number))
            return 0;
        in->sin6_scope_id = (uint32_t)number;
    }
    to->size = sizeof *in;
    return 1;
}

static inline PyObject *
cede_raw_address(const cede_address *address)
{
    return PyBytes_FromStringAndSize((const char *)&address->raw, (Py_ssize_t)address->size);
}

/* Sends one datagram. Returns 1, or the negated errno. to: NULL for the peer of a connected socket. */
static inline int
cede_send_datagram(int fd, const void *data, Py_ssize_t size, const cede_address *to)
{
    ssize_t sent = to == NULL ? send(fd, data, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT)
                              : sendto(fd, data, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&to->raw, to->size);
    return sent < 0 ? -errno : 1;
}

/* The size up to which datagrams of this socket may share a message; 0 if none may, because a kernel that does not know UDP_SEGMENT would
   ignore it and send them as one. */
static inline int
cede_shares(int fd)
{
#ifdef UDP_SEGMENT
    int segment = -1;
    socklen_t length = sizeof segment;
    if (getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &length) == 0 && segment == 0)
        return CEDE_SHARED;
#else
    (void)fd;
#endif
    return 0;
}

static inline int
cede_same_target(PyObject *one, PyObject *other)
{
    if (one == other)
        return 1;
    return one != Py_None && other != Py_None && PyBytes_GET_SIZE(one) == PyBytes_GET_SIZE(other) &&
           !memcmp(PyBytes_AS_STRING(one), PyBytes_AS_STRING(other), (size_t)PyBytes_GET_SIZE(one));
}

/* Sends the datagrams of `list`, from the first one on that is (bytes, bytes or None), up to the first that is not. How many were taken,
   or the negated errno where the first of them was refused; 0 also where the very first is of another kind.

   Neighbours of one size for one receiver (the last of them may be smaller) share a message, which goes through the network's layers
   once and is cut up on the way out (UDP_SEGMENT): that is most of what a small datagram costs. `*largest` is the size up to which they
   may; where the system cannot cut it up after all (it says so before anything is sent), they go one by one, and it is lowered. */
static inline int
cede_send_list(int fd, PyObject *list, int *largest)
{
    struct mmsghdr headers[CEDE_FLUSH];
    struct iovec vectors[CEDE_FLUSH];
    union {
        struct cmsghdr aligned;
        char space[CMSG_SPACE(sizeof(uint16_t))];
    } controls[CEDE_FLUSH / 2];
    int count, messages, sharing, taken, most = *largest, refused = 0;
again:
    count = messages = sharing = 0;
    PyObject *last = NULL; /* whose message the next one may share, with the size that it must have then */
    size_t segment = 0, total = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list) && count < CEDE_FLUSH; i++) {
        PyObject *pair = PyList_GET_ITEM(list, i);
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2)
            break;
        PyObject *data = PyTuple_GET_ITEM(pair, 0), *target = PyTuple_GET_ITEM(pair, 1);
        if (!PyBytes_CheckExact(data) || (target != Py_None && !PyBytes_CheckExact(target)))
            break;
        size_t size = (size_t)PyBytes_GET_SIZE(data);
        struct iovec *vector = &vectors[count++];
        vector->iov_base = PyBytes_AS_STRING(data);
        vector->iov_len = size;
#ifdef UDP_SEGMENT
        if (last != NULL && size && size <= segment && total + size <= CEDE_ROOM - 1024 && cede_same_target(last, target)) {
            struct msghdr *header = &headers[messages - 1].msg_hdr;
            if (++header->msg_iovlen == 2) {
                header->msg_control = &controls[sharing];
                header->msg_controllen = sizeof controls[sharing];
                memset(&controls[sharing++], 0, sizeof controls[0]);
                struct cmsghdr *control = CMSG_FIRSTHDR(header);
                control->cmsg_level = IPPROTO_UDP;
                control->cmsg_type = UDP_SEGMENT;
                control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
                uint16_t value = (uint16_t)segment;
                memcpy(CMSG_DATA(control), &value, sizeof value);
            }
            total += size;
            if (size < segment || header->msg_iovlen == CEDE_SHARE)
                last = NULL;
            continue;
        }
#endif
        struct msghdr *header = &headers[messages].msg_hdr;
        memset(&headers[messages++], 0, sizeof headers[0]);
        header->msg_iov = vector;
        header->msg_iovlen = 1;
        if (target != Py_None) {
            header->msg_name = PyBytes_AS_STRING(target);
            header->msg_namelen = (socklen_t)PyBytes_GET_SIZE(target);
        }
        last = size && size <= (size_t)most ? target : NULL;
        segment = total = size;
    }
    if (count == 0)
        return 0;
    taken = sendmmsg(fd, headers, (unsigned int)messages, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (taken < 0) {
        if (headers[0].msg_hdr.msg_iovlen == 1)
            return -errno;
        refused = errno;
        if (refused != EINVAL && refused != EIO && refused != EMSGSIZE && refused != EOPNOTSUPP && refused != ENOBUFS)
            return -refused;
        most = 0;
        goto again;
    }
    if (refused) /* it was the sharing, and nothing else, that was not possible */
        *largest = refused == EIO ? 0 : (int)(headers[0].msg_hdr.msg_iov->iov_len / 2);
    count = 0;
    for (int i = 0; i < taken; i++)
        count += (int)headers[i].msg_hdr.msg_iovlen;
    return count;
}

#endif
