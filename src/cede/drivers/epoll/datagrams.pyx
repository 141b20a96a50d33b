"""Datagram sockets of the native driver: several datagrams a system call, in and out.

Invariants
----------
* `receive` fills the arena of a driver and copies it out, before it delivers anything: a nested turn may receive into the arena again.
* The owner may defer what it sends while a batch is delivered until the batch is over (see `DatagramChannel`), but not for long: after
  HELD_AT_MOST seconds it is sent, and the channel defers nothing in the next BARRED batches, because a peer may wait for each answer.
* A target of `send_many` that is bytes, or None, is in the kernel's own form; for any other target the socket's method sends.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE

from cede.core.native.call cimport monotonic
from cede.core.scheduler.ready_queue cimport slot_put, slot_take
from cede.drivers.contract cimport READ, WRITE, Sink
from cede.drivers.selector.datagrams cimport ReadinessDatagrams
from cede.drivers.epoll.waiter cimport native, os_error, plain_socket
from cede.drivers.readiness cimport ReadinessDriver
from cede.drivers.epoll.sys_datagram cimport *
from cede.drivers.epoll.sys_epoll cimport EBADF, socket_number, would_block

import socket

from cede.drivers.selector.datagrams import IN_A_ROW, LARGEST, check_address

cdef int INET = socket.AF_INET
cdef int INET6 = socket.AF_INET6
cdef int LOCAL = socket.AF_UNIX
cdef double HELD_AT_MOST = 0.0002  # seconds; short answers to a whole batch take a small part of it
cdef int BARRED = 256

cdef object WOULD_BLOCK = (BlockingIOError, InterruptedError)

assert IN_A_ROW <= CEDE_BATCH


cdef class DatagramBatch:
    """The arena of a driver. ``busy`` while datagrams are copied out, because making an object may run finalizers."""

    def __cinit__(self):
        batch_open(&self.batch)

    def __dealloc__(self):
        batch_close(&self.batch)


cdef bint serves(object sock) except -1:
    """Whether the socket is plain, and its addresses are of a known form."""
    return native and type(sock) is plain_socket and sock.family in (INET, INET6, LOCAL)


cdef EpollDatagrams new_datagrams(ReadinessDriver driver, object sock, Sink sink, DatagramBatch arena):
    cdef EpollDatagrams channel = EpollDatagrams(driver, sock, sink)
    channel.arena = arena
    channel.room = CEDE_ROOM
    channel.most = CEDE_BATCH
    channel.shared = shares(channel.fd) if channel.family != LOCAL else 0
    if channel.family == LOCAL:
        # Unix datagrams can be larger: receive fewer at once.
        channel.room = LARGEST
        channel.most = CEDE_BATCH * CEDE_ROOM // LARGEST
    return channel


@cython.final
cdef class EpollDatagrams(ReadinessDatagrams):
    """A datagram socket of the usual families, natively."""

    cdef int receive(self) except -1:
        cdef DatagramBatch arena = self.arena
        cdef Sink sink = self.sink
        cdef int count, index
        cdef list taken
        if socket_number(self.sock) != self.fd:
            return self.driver.drop_stale(self)
        if self.driver.writing:
            self.driver.acted = True  # a sender on this loop may have room again
        if arena.busy:
            arena = DatagramBatch()  # a finalizer runs a turn inside the lines below, for another socket
        arena.busy = self.receiving = True
        try:
            count = batch_receive(&arena.batch, self.fd, min(self.batch, self.most), self.room)
            if count > 0:
                if count >= min(self.batch, self.most):
                    self.driver.acted = True  # there may be more datagrams
                self.expect(count)
                data = batch_data(&arena.batch, 0)
                address = batch_sender(&arena.batch, 0)
                if count > 1:
                    taken = [None] * (2 * count)
                    slot_put(taken, 2 * count - 2, data)
                    slot_put(taken, 2 * count - 1, address)
                    for index in range(1, count):
                        slot_put(taken, 2 * (count - 1 - index), batch_data(&arena.batch, index))
                        slot_put(taken, 2 * (count - 1 - index) + 1, batch_sender(&arena.batch, index))
                    self.kept = taken
                    self.left = count
        finally:
            arena.busy = self.receiving = False
        if count == 1:
            return sink.received_from(data, address)
        if count < 0:
            if would_block(-count):
                self.batch = 1
                return 0
            return sink.datagram_failed(os_error(-count))
        return 0

    cdef int tell_kept(self) except -1:
        cdef bint first = not self.telling and self.left > 0
        cdef double began = 0.0
        cdef Sink sink
        if first:
            if self.barred:
                self.barred -= 1
                first = False
            else:
                self.telling = True
                began = monotonic()
        try:
            while self.left and self.wanted & READ:
                self.left -= 1
                # Take the items out of the slots: a list that shrinks each time would be reallocated.
                data = slot_take(self.kept, 2 * self.left)
                address = slot_take(self.kept, 2 * self.left + 1)
                sink = self.sink  # keep a reference: `close` clears `self.sink`
                sink.received_from(data, address)
                if first and self.telling and monotonic() - began > HELD_AT_MOST:
                    self.barred = BARRED
                    self.told()
        finally:
            if first:
                self.told()
            self.tell_later()
        return 0

    cdef int told(self) except -1:
        """Send what the owner has deferred: the batch is over, or takes long."""
        cdef Sink sink = self.sink
        self.telling = False
        if self.held and not self.closed:
            return sink.writable()
        return 0

    cpdef int send(self, object data, object address) except -1:
        cdef Py_buffer view
        cdef cede_address to
        cdef cede_address *where = NULL
        cdef int outcome
        if socket_number(self.sock) != self.fd or self.closed:
            raise os_error(EBADF)
        self.driver.acted = True
        if address is not None:
            if not parse_address(self.family, address, &to):
                return self.send_by_method(data, address)
            where = &to
        if PyBytes_CheckExact(data):
            outcome = send_datagram(self.fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), where)
        else:
            PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
            outcome = send_datagram(self.fd, view.buf, view.len, where)
            PyBuffer_Release(&view)
        if outcome > 0:
            return 1
        if would_block(-outcome):
            self.refused = True
            return 0
        raise os_error(-outcome)

    cdef int send_by_method(self, object data, object address) except -1:
        try:
            self.sock.sendto(data, address)
        except WOULD_BLOCK:
            self.refused = True
            return 0
        return 1

    cpdef object target(self, object address):
        cdef cede_address to
        if address is None:
            return None
        if parse_address(self.family, address, &to):
            return raw_address(&to)
        check_address(self.family, address)
        # Python's form of an abstract Unix address is bytes too: do not take it for the kernel's form.
        return bytearray(address) if isinstance(address, bytes) else address

    cpdef Py_ssize_t send_many(self, list datagrams) except -1:
        cdef int taken
        if socket_number(self.sock) != self.fd or self.closed:
            raise os_error(EBADF)
        if not datagrams:
            return 0
        self.driver.acted = True
        self.refused = False
        taken = send_list(self.fd, datagrams, &self.shared)
        if taken < 0:
            if would_block(-taken):
                self.refused = True
                return 0
            raise os_error(-taken)
        if taken == 0:
            data, address = datagrams[0]
            return self.send_by_method(data, address)
        return taken
