cimport cython
from cpython.pythread cimport PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_type_lock, WAIT_LOCK
from libc.stdint cimport int64_t

from cede.core.native.call cimport monotonic
from cede.core.task.handle cimport Runnable
from cede.core.scheduler.gil_hints cimport GilHints
from cede.core.scheduler.inbox cimport Inbox
from cede.core.scheduler.kernel cimport Kernel

cdef extern from "spin.h":
    enum:
        SPINNING "CEDE_SPINNING"
    ctypedef struct cede_backoff:
        int step
    void park_worker "cede_park"(
        int *state, PyThread_type_lock parker, int *away, int *released, int64_t spin, cede_backoff *backoff) noexcept nogil
    void unpark_worker "cede_unpark"(int *state, PyThread_type_lock parker) noexcept

cdef double SPIN
cdef double RECENT

cdef enum:
    DONE = 0
    FAILED = 1
    CANCELLED = 2

cdef class WorkerPool

@cython.trashcan(True)
cdef class Job(Runnable):
    cdef object function
    cdef object args
    cdef object future
    cdef WorkerPool pool
    cdef double began
    cdef int perform(self) except -1
    cdef int give_up(self) except -1

@cython.final
cdef class LoopJob(Job):
    cdef Kernel kernel
    cdef object result
    cdef object error
    cdef bint dropped
    cdef int post(self) except -1

@cython.final
cdef class ThreadJob(Job):
    cdef object options

@cython.final
cdef class Worker:
    cdef WorkerPool pool
    cdef Job job
    cdef bint born
    cdef bint leaving
    cdef bint soon
    cdef int state
    cdef PyThread_type_lock parker
    @cython.locals(began=double)
    cdef int park(self) except -1
    cdef int unpark(self) except -1
    @cython.locals(pool=WorkerPool, job=Job)
    cpdef serve(self)

@cython.final
cdef class WorkerPool:
    cdef Py_ssize_t limit
    cdef object prefix
    cdef GilHints gil_hints
    cdef readonly object jobs
    cdef readonly list parked
    cdef readonly set workers
    cdef readonly set threads
    cdef Py_ssize_t started
    cdef readonly bint closed
    cdef bint may_spin
    cdef bint prompt
    cdef Py_ssize_t given
    cdef Py_ssize_t done
    cdef Py_ssize_t failed
    cdef Py_ssize_t cancelled
    cdef Py_ssize_t waits
    cdef double waited
    cdef double longest
    cdef cede_backoff backoff  # the workers', together
    cdef object lock
    cdef object __weakref__
    cpdef call(self, Kernel kernel, object future, object function, object args)
    cpdef give(self, Job job)
    @cython.locals(worker=Worker, at=Py_ssize_t)
    cdef Worker place(self, Job job)
    @cython.locals(job=Job)
    cdef int start(self, Worker worker) except -1
    cdef int enter(self, object thread, Worker worker) except -1
    cdef bint take_back(self, Job job) except -1
    @cython.locals(worker=Worker)
    cdef bint unplace(self, Job job) except -1
    cdef Job first_job(self, Worker worker)
    @cython.locals(job=Job, waited=double)
    cdef Job next_job(self, Worker worker)
    cdef int count(self, int outcome) except -1
    cdef inline int add(self, int outcome) except -1
    cpdef dict told(self)
    @cython.locals(job=Job)
    cdef dict tell(self)
    cpdef close(self)
    @cython.locals(worker=Worker, at=Py_ssize_t)
    cdef int dismiss(self) except -1
    @cython.locals(job=Job)
    cpdef drop_jobs(self)
    cdef Job oldest(self)

cdef inline int make_bed(Worker worker) except -1:
    worker.parker = PyThread_allocate_lock()
    if worker.parker == NULL:
        raise MemoryError()
    PyThread_acquire_lock(worker.parker, WAIT_LOCK)
    return 0

cdef inline int free_bed(Worker worker) noexcept:
    if worker.parker != NULL:
        PyThread_free_lock(worker.parker)
        worker.parker = NULL
    return 0

cdef inline int go_to_bed(Worker worker) noexcept:
    worker.state = SPINNING
    return 0

cdef inline int sleep(Worker worker, GilHints gil_hints, double spin) noexcept:
    cdef int64_t within = <int64_t>(spin * 1e9)
    with nogil:
        park_worker(&worker.state, worker.parker, &gil_hints.away, &gil_hints.released, within, &worker.pool.backoff)
    return 0

cdef inline int wake(Worker worker) noexcept:
    unpark_worker(&worker.state, worker.parker)
    return 0
