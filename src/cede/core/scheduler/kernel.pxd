from cede.core.task.announce cimport tell_current
from cede.core.native.call cimport monotonic
from cede.core.task.handle cimport Handle, Runnable
from cede.core.scheduler.ports cimport AfterStep, COLLECTED, NO_BATCH, QUEUED, DriverPort, OrderPort
from cede.core.scheduler.ready_queue cimport CompiledReadyQueue
from cede.core.scheduler.run_queue cimport RunQueue
cimport cython

cdef int EMPTY_POLLS
cdef int POLLS_SKIPPED
cdef double POLL_WITHIN
cdef double LONGEST_SLEEP

cdef class Kernel(RunQueue):
    cdef OrderPort _order
    cdef readonly unsigned long long steps
    cdef readonly unsigned long long events  # delivered by the driver: steps too, but not from the ring
    cdef list _after_step
    cdef Py_ssize_t _after_step_next
    cdef readonly unsigned long long _batches  # ring entries that were the driver, and so no steps
    cdef int _empty_polls
    cdef int _skipped_polls
    cdef double _polled_at
    cdef double _spin_deadline
    cdef readonly object _announced_task
    cdef public bint _stopping
    cdef bint _told_at_once
    cdef bint _running_ready
    cdef public object slow_callback_duration
    cdef public object slow_cancel_duration
    cdef readonly unsigned long long turns
    cdef public bint watch_steps
    cdef public double longest_step
    cdef public object longest_step_of

    @cython.locals(order=OrderPort, before=list, after=list)
    cdef int _arrange(self) except -1
    cdef int announce(self, object task) except -1
    cdef int enter_callback(self) except -1
    cdef int call_after_step(self, AfterStep item) except -1
    @cython.locals(left=list, item=AfterStep)
    cdef int end_step(self) except -1
    cdef int next_event(self) except -1
    cpdef int _end_last_step(self) except -1
    cpdef int run_until_stopped(self) except -1
    @cython.locals(began=double)
    cdef int run_handle(self, Handle handle) except -1
    cdef int report_ready(self, object error) except -1
    @cython.locals(driver=DriverPort, timeout=double, told=bint)
    cdef int _wait(self, bint look) except -1
    cpdef int expect_post(self, double seconds) except -1
    @cython.locals(left=double)
    cdef bint _spin(self, double timeout)
    @cython.locals(now=double)
    cdef bint _poll_is_due(self) noexcept
    @cython.locals(driver=DriverPort, ring=CompiledReadyQueue, end="unsigned long long", runnable=Runnable)
    cdef int turn(self) except -1
    @cython.locals(driver=DriverPort, ring=CompiledReadyQueue, now=double, timed=bint)
    cdef bint _bring(self) except -1
    @cython.locals(driver=DriverPort, ring=CompiledReadyQueue, due=bint)
    cdef bint _place_batch(self, bint timed, double now) except -1
    @cython.locals(began=double)
    cpdef int run_one(self, Runnable runnable) except -1
