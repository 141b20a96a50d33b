from cede.net.flow_control cimport FlowControl
from cede.net.stream.transport cimport StreamTransport
from cede.net.tls.records cimport Records
from cede.net.tls.buffers cimport Scratch

cdef enum:
    MADE
    SHAKING
    OPEN
    FLUSHING
    CLOSING
    ENDING
    LOST

cdef class TLSState(FlowControl):
    cdef object lower
    cdef StreamTransport plain
    cdef object sslcontext
    cdef object sslobj
    cdef object cipher
    cdef object incoming
    cdef object outgoing
    cdef Records records
    cdef Scratch scratch
    cdef bytearray own_memory
    cdef object server
    cdef bint server_side
    cdef readonly int state
    cdef bint told
    cdef bint eof_told
    cdef bint established
    cdef bint reading_paused
    cdef bint unread
    cdef bint scheduled
    cdef bint choked
    cdef bint peer_done
    cdef bint lower_eof
    cdef bint lower_paused
    cdef bint awaits_peer
    cdef bint inside
    cdef bint flushing
    cdef bint missed
    cdef list late
    cdef int lost_writes
    cdef Py_ssize_t strayed
    cdef object failure
    cdef object read_error
    cdef object waiter
    cdef object timer
    cdef double handshake_seconds
    cdef double shutdown_seconds
    cdef Py_ssize_t left_at_timer
    # sending
    cdef list backlog
    cdef unsigned long long step
    cdef Py_ssize_t spent
    cdef Py_ssize_t allowance
    cdef double rested_at
    cdef bint sending_later
    # receiving
    cdef bytearray batch
    cdef object batch_view
    cdef Py_ssize_t position
    cdef Py_ssize_t end
    cdef bytearray gathered
    cdef object target
    cdef Py_ssize_t filled
