# Declarations of sys_datagram.h.

cdef extern from "sys_datagram.h":
    ctypedef struct cede_address:
        unsigned int size
    ctypedef struct cede_batch:
        pass
    enum:
        CEDE_BATCH, CEDE_ROOM
    int batch_open "cede_batch_open"(cede_batch *batch) except -1
    void batch_close "cede_batch_close"(cede_batch *batch) noexcept
    int batch_receive "cede_batch_receive"(cede_batch *batch, int fd, int count, size_t room) noexcept
    object batch_data "cede_batch_data"(cede_batch *batch, int index)
    object batch_sender "cede_batch_sender"(cede_batch *batch, int index)
    bint parse_address "cede_parse_address"(int family, object address, cede_address *to) noexcept
    object raw_address "cede_raw_address"(const cede_address *address)
    int send_datagram "cede_send_datagram"(int fd, const void *data, Py_ssize_t size, const cede_address *to) noexcept
    int shares "cede_shares"(int fd) noexcept
    int send_list "cede_send_list"(int fd, list datagrams, int *largest) noexcept
