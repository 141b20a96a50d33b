# cython: boundscheck=False, nonecheck=False
from cede.core.scheduler.gil_hints cimport GilHints
from cede.core.scheduler.ports cimport DriverPort
from libc.stdint cimport int64_t

cdef extern from "spin.h":
    ctypedef struct cede_backoff:
        int step
    bint spin_for_post "cede_spin_for_post"(int *posted, int *away, int *released, int64_t within, cede_backoff *backoff) noexcept nogil
    void spin_until_taken "cede_spin_until_taken"(int *posted, int64_t within, cede_backoff *backoff) noexcept nogil

# A thread that posts without a pause keeps the interpreter lock for the whole switch interval, 5 ms: the memory of all these handles is out of
# the cache, and has been through the collector, before the loop sees the first. So at 1,024 posts that wait, 2,048 and so on, it lets the loop
# take them, for PORTION_WITHIN nanoseconds. Without that a post costs 1.2 times the CPU where 20,000 come in a row, 1.5 times where 100,000 do.
cdef enum:
    PORTION = 1024
    PORTION_WITHIN = 100000

cdef class Inbox:
    cdef list items
    cdef readonly GilHints gil_hints
    cdef readonly int pending  # not bint: it is looked at without the interpreter lock, by its address
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
