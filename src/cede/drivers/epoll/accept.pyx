"""Accepting natively: one system call a connection, which returns a non-blocking socket, and no exception when none is left.

The acceptor takes all connections that wait, as many as asyncio takes: one left for the next turn would come a turn late.
"""

import socket

cimport cython

from cede.drivers.contract cimport Acceptor
from cede.drivers.epoll.address cimport address_of_peer, cede_address
from cede.drivers.epoll.waiter cimport EpollWaiter, os_error
from cede.drivers.accepting cimport ListenAcceptor
from cede.drivers.epoll.sys_epoll cimport c_close, errno_now, socket_number, would_block

from cede.drivers.accepting import OUT_OF_RESOURCES, PEER_GONE

cdef extern from "sys_datagram.h":
    int accept_one "cede_accept"(int fd, cede_address *peer) noexcept

plain_socket = socket.socket
native_init = plain_socket.__mro__[1].__init__

# These getters return plain numbers; the properties of socket.socket convert them into enumeration members each time.
family_of = plain_socket.__mro__[1].__dict__["family"].__get__
kind_of = plain_socket.__mro__[1].__dict__["type"].__get__

FAMILIES = frozenset({int(socket.AF_INET), int(socket.AF_INET6), int(socket.AF_UNIX)})


@cython.final
cdef class EpollAcceptor(ListenAcceptor):
    """A plain listening socket."""

    cdef int accept_some(self) except -1:
        cdef cede_address peer
        cdef int fd
        for _ in range(self.backlog):
            if not self.wanted:
                return 0  # the sink has stopped or closed this acceptor
            fd = socket_number(self.sock)
            if fd != self.fd:
                return self.driver.drop_stale(self)
            fd = accept_one(fd, &peer)
            if fd < 0:
                if would_block(-fd):
                    return 0
                if -fd in PEER_GONE:
                    continue
                return self.failed(-fd)
            self.warned = False
            self.driver.acted = True
            sock = self.wrap(fd)
            address = address_of_peer(&peer)
            try:
                self.hand_over(sock, address)
            except (KeyboardInterrupt, SystemExit):
                self.hand_over(sock, address)
                raise
        return 0

    cdef object wrap(self, int fd):
        # Do the work of `plain_socket(...)`, which is Python code: a signal handler may raise inside it, and the descriptor would be lost.
        sock = plain_socket.__new__(plain_socket)
        try:
            native_init(sock, self.family, self.kind, self.proto, fd)
        except BaseException:
            c_close(fd)
            raise
        sock._io_refs = 0
        sock._closed = False
        return sock

    cdef int failed(self, int code) except -1:
        error = os_error(code)
        if code in OUT_OF_RESOURCES:
            return self.back_off(error)
        self.sink.accept_failed(error)
        return 0


cdef bint can_accept(object sock):
    """Whether the socket is plain, and the addresses of its peers have a known form."""
    return type(sock) is plain_socket and family_of(sock) in FAMILIES


cdef Acceptor new_acceptor(EpollWaiter driver, object sock, object sink, int backlog):
    cdef EpollAcceptor acceptor = EpollAcceptor(driver, sock, sink, backlog)
    acceptor.family = family_of(sock)
    # The flag says that the descriptor is non-blocking already: accept4 makes it so.
    acceptor.kind = kind_of(sock) | socket.SOCK_NONBLOCK
    acceptor.proto = sock.proto
    return acceptor
