cimport cython
from cpython.pythread cimport PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_type_lock, WAIT_LOCK
from libc.stdint cimport int64_t

from cede.core.native.call cimport monotonic
from cede.core.task.handle cimport Runnable
from cede.core.scheduler.gil_hints cimport Hints
from cede.core.scheduler.inbox cimport Inbox
from cede.core.scheduler.kernel cimport Kernel

cdef extern from "spin.h":
    enum:
        SPINNING "CEDE_SPINNING"
    ctypedef struct cede_patience:
        int step
    void lie_down "cede_lie_down"(
        int *state, PyThread_type_lock bed, int *away, int *released, int64_t spin, cede_patience *patience) noexcept nogil
    void get_up "cede_get_up"(int *state, PyThread_type_lock bed) noexcept

cdef double LOOK_OUT
cdef double SOON

cdef enum:
    DONE = 0
    FAILED = 1
    CANCELLED = 2

cdef class Crew

@cython.trashcan(True)
cdef class Job(Runnable):
    cdef object function
    cdef object args
    cdef object future
    cdef Crew crew
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
    cdef Crew crew
    cdef Job job
    cdef bint born
    cdef bint leaving
    cdef bint soon
    cdef int state
    cdef PyThread_type_lock bed
    @cython.locals(began=double)
    cdef int rest(self) except -1
    cdef int rouse(self) except -1
    @cython.locals(crew=Crew, job=Job)
    cpdef serve(self)

@cython.final
cdef class Crew:
    cdef Py_ssize_t limit
    cdef object prefix
    cdef Hints hints
    cdef readonly object jobs
    cdef readonly list resting
    cdef readonly set workers
    cdef readonly set threads
    cdef Py_ssize_t started
    cdef readonly bint closed
    cdef bint looks_out
    cdef bint prompt
    cdef Py_ssize_t given
    cdef Py_ssize_t done
    cdef Py_ssize_t failed
    cdef Py_ssize_t cancelled
    cdef Py_ssize_t waits
    cdef double waited
    cdef double longest
    cdef cede_patience patience  # the workers', together
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
    worker.bed = PyThread_allocate_lock()
    if worker.bed == NULL:
        raise MemoryError()
    PyThread_acquire_lock(worker.bed, WAIT_LOCK)
    return 0

cdef inline int free_bed(Worker worker) noexcept:
    if worker.bed != NULL:
        PyThread_free_lock(worker.bed)
        worker.bed = NULL
    return 0

cdef inline int go_to_bed(Worker worker) noexcept:
    worker.state = SPINNING
    return 0

cdef inline int sleep(Worker worker, Hints hints, double spin) noexcept:
    cdef int64_t within = <int64_t>(spin * 1e9)
    with nogil:
        lie_down(&worker.state, worker.bed, &hints.away, &hints.released, within, &worker.crew.patience)
    return 0

cdef inline int wake(Worker worker) noexcept:
    get_up(&worker.state, worker.bed)
    return 0
