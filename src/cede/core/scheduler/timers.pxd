# cython: boundscheck=False, nonecheck=False
cimport cython
from cede.core.task.handle cimport Handle

cdef extern from "objects.h":
    """
    CEDE_POOL(timer)
    """
    int pool_timer "cede_pool_timer"(object kind) except -1

cdef extern from "heap.h":
    ctypedef struct cede_entry:
        double when
    ctypedef struct cede_heap:
        cede_entry *entries
        Py_ssize_t count
    int heap_push "cede_heap_push"(cede_heap *heap, double when, long long number, object timer, Py_ssize_t *place) except -1
    object heap_remove "cede_heap_remove"(cede_heap *heap, Py_ssize_t at)
    list heap_list "cede_heap_list"(cede_heap *heap)
    void heap_drop "cede_heap_drop"(cede_heap *heap)
    int heap_install "cede_heap_install"(object kind, object example, cede_heap *heap) except -1

cdef class CompiledHeap

cdef class TimerHandle(Handle):
    cdef public double _when
    cdef public bint _scheduled
    cdef Py_ssize_t _position
    cdef CompiledHeap _heap

@cython.final
cdef class CompiledHeap:
    cdef cede_heap heap
    cdef long long count
    cdef inline Py_ssize_t size(self) noexcept:
        return self.heap.count
    cdef inline double next_time(self) noexcept:
        # The caller makes sure that there is one.
        return self.heap.entries[0].when
    cpdef list snapshot(self)
    cdef int push(self, TimerHandle timer) except -1
    @cython.locals(timer=TimerHandle)
    cdef TimerHandle pop(self)
    cdef int remove(self, TimerHandle timer) except -1
    @cython.locals(timer=TimerHandle)
    cdef int clear(self) except -1
    cdef int show_to_collector(self) except -1

cdef int show_to_collector(CompiledHeap example) except -1
