from cede.core.hints cimport Hints
from cede.core.ports cimport DriverPort
from libc.stdint cimport int64_t

cdef extern from "spin.h":
    ctypedef struct cede_patience:
        int step
    bint spin_for_post "cede_spin_for_post"(int *posted, int *away, int *released, int64_t within, cede_patience *patience) noexcept nogil

    bint changes "cede_changes"(int *flag, int value, int64_t within) noexcept nogil

cdef class Inbox:
    cdef list items
    cdef readonly Hints hints
    cdef readonly int pending  # not bint: it is looked at without the interpreter lock, by its address
    cdef readonly bint idle
    cdef readonly DriverPort driver
    cdef cede_patience patience
    cpdef post(self, object item)
    cpdef bint about_to_sleep(self)
    cpdef list take_all(self)
    cpdef awake(self)
    cdef int let_drain(self, double seconds) except -1
    cdef bint spin(self, double seconds)

cdef inline int give_way(Inbox inbox, double seconds):
    cdef int64_t within = <int64_t>(seconds * 1e9)
    with nogil:
        changes(&inbox.pending, 1, within)
    return 0

cdef inline bint look_out(Inbox inbox, Hints hints, double seconds):
    cdef int64_t within = <int64_t>(seconds * 1e9)
    cdef bint came
    with nogil:
        came = spin_for_post(&inbox.pending, &hints.away, &hints.released, within, &inbox.patience)
    return came
