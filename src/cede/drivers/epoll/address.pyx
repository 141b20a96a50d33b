"""Addresses of peers in the kernel's form. They are converted to Python's form on demand.

A tuple, a string and a number take some 150 bytes a connection, and time to make, and most programs never read them. The driver cannot
ask the kernel later instead, which forgets the peer of a connection that was reset.
"""

cimport cython

from cede.drivers.contract cimport Address
from cede.drivers.epoll.address cimport cede_address

cdef extern from "sys_datagram.h":
    enum:
        CEDE_PACKED
    int pack_address "cede_pack_address"(const cede_address *address, unsigned char *into) noexcept
    int pack_other_end "cede_pack_other_end"(int fd, unsigned char *into) noexcept
    object unpack_address "cede_unpack_address"(const unsigned char *packed, int size)
    object make_peer "cede_peer"(const cede_address *address)


@cython.final
cdef class InternetAddress(Address):
    """An address of IPv4 or IPv6."""

    cdef unsigned char raw[CEDE_PACKED]
    cdef unsigned char size

    cpdef object unpacked(self):
        return unpack_address(self.raw, self.size)


cdef object address_of_peer(const cede_address *peer):
    """The address of an accepted peer: an `Address`, or what ``socket.accept()`` would return."""
    cdef InternetAddress address = InternetAddress.__new__(InternetAddress)
    address.size = pack_address(peer, address.raw)
    return address if address.size else make_peer(peer)


cdef object address_of_other_end(int fd):
    """The address that an internet socket is connected to; None for other sockets, or if the system has no answer."""
    cdef InternetAddress address = InternetAddress.__new__(InternetAddress)
    address.size = pack_other_end(fd, address.raw)
    return address if address.size else None
