from cede.core.native.call cimport copy_context, monotonic, nobody_else_holds, seconds_of
from cede.core.task.handle cimport Handle, Runnable, creation_stack
from cede.core.scheduler.inbox cimport Inbox
from cede.core.scheduler.ports cimport ClockPort, DriverPort
from cede.core.scheduler.ready_queue cimport CompiledReadyQueue, slot_put, slot_take
from cede.core.task.threadsafe_handle cimport ThreadSafeHandle
from cede.core.scheduler.timers cimport CompiledHeap, TimerHandle
cimport cython

cdef int SPARE_HANDLES

cdef extern from "methods.h":
    """
    CEDE_SCHEDULING_METHOD(call_soon, 1)
    CEDE_SCHEDULING_METHOD(call_soon_threadsafe, 1)
    CEDE_SCHEDULING_METHOD(call_later, 2)
    CEDE_SCHEDULING_METHOD(call_at, 2)
    """
    int install_call_soon "cede_install_call_soon"(object kind, void *quick) except -1
    int install_call_soon_threadsafe "cede_install_call_soon_threadsafe"(object kind, void *quick) except -1
    int install_call_later "cede_install_call_later"(object kind, void *quick) except -1
    int install_call_at "cede_install_call_at"(object kind, void *quick) except -1

cdef extern from "Python.h":
    unsigned long this_thread "PyThread_get_thread_ident"() noexcept

cdef class RunQueue:
    cdef readonly DriverPort driver
    cdef CompiledReadyQueue _ready
    cdef CompiledHeap _timers
    cdef list spares
    cdef Py_ssize_t spare_count
    cdef Inbox _inbox  # hidden from Python: the kernel runs what is posted without checking it
    cdef public bint _debug
    cdef public int _state
    cdef public bint clock_replaced
    cdef ClockPort _clock
    cdef public object _thread_id
    cdef object __weakref__

    cdef bint is_clock_replaced(self) noexcept
    cdef double later(self, double delay) except? -1.0
    cdef double now(self) except? -1.0
    @cython.locals(handle=Handle)
    cdef Handle _new_handle(self, object callback, tuple args, object context)
    @cython.locals(timer=TimerHandle)
    cdef TimerHandle _new_timer(self, double when, object callback, tuple args, object context, str name)
    @cython.locals(posted=list)
    cdef int _take_posts(self) except -1
    cdef int _post_from_home(self, Handle handle) except -1
    cdef int recycle(self, Handle handle) except -1
    cdef int _refuse(self) except -1
    cdef int _check_home(self) except -1
    cdef int _check(self, object callback, str method) except -1
    cpdef int _drop_all(self) except -1

@cython.locals(handle=Handle)
cdef Handle quick_call_soon(RunQueue scheduler, object callback, object again, tuple args, object context)
@cython.locals(handle=ThreadSafeHandle, inbox=Inbox)
cdef Handle quick_call_soon_threadsafe(RunQueue scheduler, object callback, object again, tuple args, object context)
cdef TimerHandle quick_call_later(RunQueue scheduler, object delay, object callback, tuple args, object context)
cdef TimerHandle quick_call_at(RunQueue scheduler, object when, object callback, tuple args, object context)
