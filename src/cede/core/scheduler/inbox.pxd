# cython: boundscheck=False, nonecheck=False
from cede.core.scheduler.gil_hints cimport GilHints
from cede.core.scheduler.ports cimport DriverPort
from libc.stdint cimport int64_t

cdef extern from "spin.h":
    ctypedef struct cede_backoff:
        int step
    bint spin_for_post "cede_spin_for_post"(int *posted, int *away, int *released, int64_t within, cede_backoff *backoff) noexcept nogil
    void spin_until_taken "cede_spin_until_taken"(int *posted, int64_t within, cede_backoff *backoff) noexcept nogil

# A thread that posts without a pause keeps the GIL for the whole switch interval, 5 ms. Before the loop sees the first of these handles, their
# memory has left the cache, and the collector has visited them. So when PORTION posts wait, twice as many, four times and so on, the poster
# releases the GIL until the loop has taken them, at most PORTION_WITHIN nanoseconds. Without that a post costs 1.2 times the CPU in a run of
# 20,000, and 1.5 times in a run of 100,000.
cdef enum:
    PORTION = 1024
    PORTION_WITHIN = 100000

cdef class Inbox:
    cdef list items
    cdef readonly GilHints gil_hints
    cdef readonly int pending  # not bint: a spinning thread reads it without the GIL, by its address
    cdef readonly bint sleeping
    cdef readonly DriverPort driver
    cdef cede_backoff backoff
    cdef cede_backoff posters_backoff

    cpdef post(self, object item)
    cdef ring(self)
    cpdef bint about_to_sleep(self)
    cpdef list take_all(self)
    cpdef awake(self)
    cdef bint spin(self, double seconds)
    cdef Py_ssize_t drop(self) except -1
    cdef int attach(self, object kernel) except -1

    cdef inline int let_take(self) except -1:
        cdef Py_ssize_t count = len(self.items)
        if count >= PORTION and not count & (count - 1):
            with nogil:
                spin_until_taken(&self.pending, PORTION_WITHIN, &self.posters_backoff)
        return 0

cdef inline bint look_out(Inbox inbox, GilHints gil_hints, double seconds):
    cdef int64_t within = <int64_t>(seconds * 1e9)
    cdef bint came
    with nogil:
        came = spin_for_post(&inbox.pending, &gil_hints.away, &gil_hints.released, within, &inbox.backoff)
    return came
