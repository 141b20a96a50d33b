from cede.core.native.call cimport current_frame, is_this_thread
from cede.core.scheduler.kernel cimport Kernel
cimport cython

cdef extern from "awaitable.h":
    ctypedef struct cede_door:
        Py_ssize_t loops
        int (*budget_exhausted)() noexcept
        void (*record_forced_yield)() noexcept
        void (*record_await)() noexcept

cdef class Budget

cdef cede_door checkpoint_hook
cdef Budget latest
cdef list budgets
cdef object changes

cdef class Budget:
    cdef readonly Kernel kernel
    cdef readonly Py_ssize_t limit
    cdef Py_ssize_t count
    cdef unsigned long long step
    cdef readonly unsigned long long forced
    cdef readonly dict places
    cdef int note(self) except -1

@cython.locals(budget=Budget)
cdef Budget budget_here()
@cython.locals(budget=Budget)
cdef int budget_exhausted() noexcept
@cython.locals(budget=Budget)
cdef void record_forced_yield() noexcept
@cython.locals(budget=Budget)
cdef void record_await() noexcept
cdef void *door()
