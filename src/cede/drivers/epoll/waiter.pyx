"""The native driver's waiting: Linux epoll, system calls from C.

It is fast, beyond the shared logic of `readiness`, for three reasons: an event leads to its channel through an array; the driver copies a
received message once, out of a buffer that all streams share; and a system call that cannot block keeps the GIL. Releasing the GIL costs
little by itself, but each time a busy thread may take it and keep it for the whole switch interval, 5 ms.

Invariants
----------
* `table[fd]` points at the channel that `channels` holds for that number, or is NULL; it owns no reference.
* An event carries descriptor and generation. If the channel was closed, or another one took its number within the same batch, the
  generation differs, and the driver drops the event.
* `tell` has not delivered the events from `position` to `count` yet; an interrupt leaves them there. They belong to poll number `polls`:
  user code that runs a turn by hand in between may have delivered them, and collected others.
* `events` has room for every registration, so that one batch delivers all that is ready together.
* After a fork the child shares the parent's epoll instance: it may close its descriptor, and must not change the registrations.
"""

import os
import socket

from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_CLEAR
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from cede.core.scheduler.ports cimport COLLECTED, NO_BATCH, TELLING
from cede.drivers.contract cimport READ, WRITE, Channel
from cede.drivers.selector.streams cimport PortableDriver
from cede.drivers.readiness cimport Watch
from cede.drivers.epoll.sys_epoll cimport *

plain_socket = socket.socket

# The number of forks between the import of this module and this process. A driver remembers the number at its creation.
cdef int forks = 0


def _count_fork():
    global forks
    forks += 1


os.register_at_fork(after_in_child=_count_fork)


cdef bint number_can_be_read() except -1:
    """Whether a socket object keeps its descriptor where sys_epoll.h reads it. If not, the driver uses the methods of all sockets."""
    with plain_socket() as one, plain_socket() as other:
        if socket_number(one) != one.fileno() or socket_number(other) != other.fileno():
            return False
    return socket_number(one) == -1 and socket_number(other) == -1


native = number_can_be_read()


def reads_numbers():
    """Whether the driver reads descriptors from inside socket objects; if not, it uses the methods of sockets."""
    return bool(native)


def number_of(sock):
    """The descriptor of a plain socket, as the driver reads it."""
    if not native or type(sock) is not plain_socket:
        raise TypeError(f"number_of(): sock must be a socket.socket, got {sock!r}")
    return socket_number(sock)


cdef object os_error(int code):
    return OSError(code, os.strerror(code))


cdef class EpollWaiter(PortableDriver):
    """Polls with epoll and delivers events; `EpollDriver` adds the channels and operations."""

    def __cinit__(self):
        self.epoll = -1
        self.event_fd = -1
        self.signal_reader = self.signal_writer = -1

    def __init__(self):
        PortableDriver.__init__(self)
        if self.epoll >= 0 or self.closed:
            raise RuntimeError("the driver's __init__() was called twice")
        self.edges = True
        self.born = forks
        self.room = BATCH
        self.events = <epoll_event *>PyMem_Malloc(BATCH * sizeof(epoll_event))
        self.scratch = <char *>PyMem_Malloc(SCRATCH)
        if self.events == NULL or self.scratch == NULL:
            raise MemoryError()
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll < 0:
            raise os_error(errno_now)
        self.event_fd = make_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.event_fd < 0:
            raise os_error(errno_now)
        self.listen(self.event_fd, WAKEUP)
        # Kernels before 5.11 have no epoll_pwait2, and some seccomp filters forbid it: wait in milliseconds then.
        self.fine = wait_fine(self.epoll, self.events, BATCH, 0.0) >= 0

    def __dealloc__(self):
        self.give_back()
        PyMem_Free(self.events)
        PyMem_Free(self.scratch)
        PyMem_Free(self.table)
        Py_CLEAR(self.last)
        Py_CLEAR(self.reserve)

    cdef int give_back(self) noexcept:
        if self.epoll >= 0:
            c_close(self.epoll)
            self.epoll = -1
        if self.event_fd >= 0:
            c_close(self.event_fd)
            self.event_fd = -1
        if self.signal_writer >= 0:
            c_close(self.signal_reader)
            c_close(self.signal_writer)
            self.signal_reader = self.signal_writer = -1
        return 0

    cdef int listen(self, int fd, uint32_t mark) except -1:
        cdef epoll_event event
        set_event(&event, EPOLLIN, 0, mark)
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, fd, &event) < 0:
            raise os_error(errno_now)
        return 0

    # -- registrations

    cdef int apply_interest(self, Channel channel) except -1:
        cdef epoll_event event
        cdef int mask = channel.wanted
        cdef uint32_t bits = 0
        cdef int operation
        if channel.edge:
            # Keep what is armed: it costs nothing until something happens, and then one event.
            mask |= channel.armed
            bits = EPOLLET
        if mask & READ:
            bits |= EPOLLIN | EPOLLRDHUP
        if mask & WRITE:
            bits |= EPOLLOUT
        if not mask:
            # With an empty mask epoll would still report errors and hang-ups, for ever.
            self.disarm(channel, True)
            channel.armed = 0
            return 0
        if self.epoll < 0:
            raise RuntimeError("the driver is closed")
        if self.born != forks:
            raise RuntimeError("the driver belongs to the parent process: make a new event loop in the child")
        set_event(&event, bits, channel.generation, channel.fd)
        operation = EPOLL_CTL_MOD if channel.armed else EPOLL_CTL_ADD
        if epoll_ctl(self.epoll, operation, channel.fd, &event) < 0:
            # Somebody may have closed and reopened the number without telling the driver: then the other operation is the right one.
            if operation == EPOLL_CTL_MOD and errno_now == ENOENT:
                operation = EPOLL_CTL_ADD
            elif operation == EPOLL_CTL_ADD and errno_now == EEXIST:
                operation = EPOLL_CTL_MOD
            else:
                raise os_error(errno_now)
            if epoll_ctl(self.epoll, operation, channel.fd, &event) < 0:
                raise os_error(errno_now)
        channel.armed = mask
        return 0

    cdef int on_added(self, Channel channel) except -1:
        cdef int fd = channel.fd
        if fd >= self.capacity:
            self.make_room(fd)
        self.table[fd] = <PyObject *>channel
        return 0

    cdef int make_room(self, int fd) except -1:
        """Grow the table for a number larger than any before. First ask the system whether it is a descriptor, because it sizes memory."""
        cdef Py_ssize_t capacity = max(<Py_ssize_t>64, self.capacity)
        cdef PyObject **table
        if c_fcntl(fd, F_GETFD) < 0:
            raise os_error(errno_now)
        while capacity <= fd:
            capacity *= 2
        table = <PyObject **>PyMem_Realloc(self.table, <size_t>capacity * sizeof(PyObject *))
        if table == NULL:
            raise MemoryError(f"no memory for a table of {capacity} descriptors, which file descriptor {fd} needs")
        memset(table + self.capacity, 0, <size_t>(capacity - self.capacity) * sizeof(PyObject *))
        self.table = table
        self.capacity = capacity
        return 0

    cdef int disarm(self, Channel channel, bint known) except -1:
        cdef epoll_event event
        if self.channels.get(channel.fd) is not channel and channel.fd < self.capacity:
            if self.table[channel.fd] == <PyObject *>channel:
                self.table[channel.fd] = NULL
        if channel.armed and known and self.epoll >= 0 and self.born == forks:
            # This fails if the descriptor is closed already, and then there is nothing to remove.
            epoll_ctl(self.epoll, EPOLL_CTL_DEL, channel.fd, &event)
        return 0

    cdef Watch watch_socket(self, object sock, int fd):
        cdef Watch watch
        if 0 <= fd < self.capacity and self.table[fd] != NULL and type(<object>self.table[fd]) is Watch:
            watch = <Watch>self.table[fd]
            if watch.sock is not None and watch.sock() is sock:
                return watch
        return PortableDriver.watch_socket(self, sock, fd)

    # -- waiting

    cpdef int wait(self, double timeout) except -1:
        cdef int count
        if self.batch:
            return 0
        if self.epoll < 0:
            raise RuntimeError("the driver is closed")
        if self.interests > self.room:
            self.widen()
        self.acted = False
        if timeout == 0.0:
            count = wait_coarse(self.epoll, self.events, self.room, 0.0)
        else:
            self.asleep = True
            with nogil:
                if self.fine:
                    count = wait_fine(self.epoll, self.events, self.room, timeout)
                else:
                    count = wait_coarse(self.epoll, self.events, self.room, timeout)
            self.asleep = False
        if count < 0:
            self.acted = True  # the poll has reported nothing
            if errno_now != EINTR:
                raise os_error(errno_now)
            # Do not wait again here: the signal handler may have given the kernel something to do.
            PyErr_CheckSignals()
            return 0
        self.polls += 1
        self.position = 0
        self.count = self.sort_out(count)
        if self.count or self.signals:
            self.batch = COLLECTED
        if self.signalled:
            # Do this last: the handler may raise, or run anything, and the batch is safe already.
            self.signalled = False
            PyErr_CheckSignals()
        return count

    cdef int widen(self) except -1:
        cdef int room = 2 * self.interests
        cdef epoll_event *events = <epoll_event *>PyMem_Realloc(self.events, room * sizeof(epoll_event))
        if events != NULL:  # else the next poll reports the rest
            self.events = events
            self.room = room
        return 0

    cdef int sort_out(self, int count) except -1:
        """Drain the wake-up and the signal pipe. Returns how many other events there are."""
        cdef int index, kept = 0
        cdef uint32_t fd
        for index in range(count):
            fd = <uint32_t>self.events[index].data.u64
            if fd == WAKEUP or fd == SIGNAL_PIPE:
                self.drain_wakeup(fd == SIGNAL_PIPE)
                continue
            if kept != index:
                self.events[kept] = self.events[index]
            kept += 1
        return kept

    cpdef int tell(self) except -1:
        cdef unsigned int poll = self.polls
        self.batch = TELLING
        while self.polls == poll and (self.position < self.count or self.heard):
            try:
                if self.heard:
                    self.tell_numbers()
                self.dispatch(poll)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                self.report(error, "Error in the driver while an event was served")
        if self.polls == poll and self.batch == TELLING:
            self.batch = NO_BATCH
        return 0

    cdef int dispatch(self, unsigned int poll) except -1:
        cdef epoll_event *event
        cdef uint32_t fd, bits
        cdef int mask
        cdef Channel channel
        while True:
            if self.kernel._after_step:
                self.kernel.end_step()
            if self.polls != poll or self.position >= self.count:
                return 0
            event = &self.events[self.position]
            self.position += 1
            fd = <uint32_t>event.data.u64
            bits = event.events
            if <Py_ssize_t>fd >= self.capacity or self.table[fd] == NULL:
                continue
            channel = <Channel>self.table[fd]
            if channel.generation != <uint32_t>(event.data.u64 >> 32):
                continue
            # Report an error or a hang-up both as readable and as writable: the next system call shows what it is.
            mask = 0
            if bits & ~<uint32_t>EPOLLOUT:
                mask = READ
            if bits & ~<uint32_t>(EPOLLIN | EPOLLRDHUP):
                mask |= WRITE
            if channel.stamp == poll:
                mask = self.since_before(channel, mask)
                if not mask:
                    continue
            if bits & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
                self.acted = True  # the end may follow the data that is delivered now
            self.kernel.events += 1
            if self.kernel._debug:
                self.fire_timed(channel, mask)
            else:
                channel.fire(mask)

    cpdef wake(self):
        cdef uint64_t one = 1
        if not self.rung:
            self.rung = True
            if self.event_fd >= 0:
                c_write(self.event_fd, &one, sizeof(one))

    cpdef int wakeup_fd(self) except -2:
        if self.signal_writer < 0:
            if self.epoll < 0:
                raise RuntimeError("the driver is closed")
            reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                self.listen(reader, SIGNAL_PIPE)
            except BaseException:
                os.close(reader)
                os.close(writer)
                raise
            self.signal_reader = reader
            self.signal_writer = writer
        return self.signal_writer

    cdef int drain_wakeup(self, bint signals) except -1:
        cdef char drain[4096]
        cdef Py_ssize_t size = sizeof(drain)
        if signals:
            while size == sizeof(drain):
                size = c_read(self.signal_reader, drain, sizeof(drain))
                if size > 0 and self.signal_sink is not None:
                    self.numbers += drain[:size]
                    self.signals = True
            self.signalled = True
            return 0
        c_read(self.event_fd, drain, 8)
        # Clear the flag only now: a wake-up between the two would be lost.
        self.rung = False
        return 0

    cpdef int after_fork(self) except -1:
        # `disarm` sees by `born` that this process must not change the registrations. Set it here too: the order of the hooks after a fork
        # depends on the order of imports.
        self.born = -1
        return self.close()

    cpdef int close(self) except -1:
        if not self.closed:
            self.closed = True
            self.position = self.count = 0
            self.signals = self.heard = False
            self.numbers = b""
            self.batch = NO_BATCH
            try:
                self.forget_all()
            finally:
                self.give_back()
                Py_CLEAR(self.last)
        return 0
