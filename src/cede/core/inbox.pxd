# cython: boundscheck=False, nonecheck=False
from cede.core.hints cimport Hints
from cede.core.ports cimport DriverPort
from libc.stdint cimport int64_t

cdef extern from "spin.h":
    ctypedef struct cede_patience:
        int step
    bint spin_for_post "cede_spin_for_post"(int *posted, int *away, int *released, int64_t within, cede_patience *patience) noexcept nogil
    void hand_over "cede_hand_over"(int *posted, int *away, int64_t within, cede_patience *patience) noexcept nogil
    bint spin_for_storm "cede_spin_for_storm"(
        int *posted, int *offered, void *items, int *away, int64_t within, int64_t most, cede_patience *patience) noexcept nogil

cdef Py_ssize_t STORM
cdef double STORM_PAUSE

cdef class Inbox:
    cdef list items
    cdef readonly Hints hints
    cdef readonly int pending  # not bint: it is looked at without the interpreter lock, by its address
    cdef readonly bint idle
    cdef readonly DriverPort driver
    cdef cede_patience patience
    cdef cede_patience posters_patience
    cdef readonly bint stormy

    # At 1,024, 2,048 and so on.
    cdef inline bint is_storm(self):
        cdef Py_ssize_t count = len(self.items)
        return count >= STORM and not count & (count - 1)

    cpdef post(self, object item)
    cdef ring(self)
    cpdef bint about_to_sleep(self)
    cpdef list take_all(self)
    cpdef awake(self)
    cdef int let_drain(self) except -1
    cdef bint spin(self, double seconds, double most)

cdef inline int give_way(Inbox inbox, Hints hints, double seconds):
    cdef int64_t within = <int64_t>(seconds * 1e9)
    hints.offered = 1
    with nogil:
        hand_over(&inbox.pending, &hints.away, within, &inbox.posters_patience)
    return 0

cdef inline bint look_out(Inbox inbox, Hints hints, double seconds):
    cdef int64_t within = <int64_t>(seconds * 1e9)
    cdef bint came
    with nogil:
        came = spin_for_post(&inbox.pending, &hints.away, &hints.released, within, &inbox.patience)
    return came

cdef inline bint look_out_for_portion(Inbox inbox, Hints hints, list items, double seconds, double most):
    cdef int64_t within = <int64_t>(seconds * 1e9)
    cdef int64_t altogether = <int64_t>(most * 1e9)
    cdef bint came
    cdef void *posted = <void *>items
    with nogil:
        came = spin_for_storm(&inbox.pending, &hints.offered, posted, &hints.away, within, altogether, &inbox.patience)
    return came
