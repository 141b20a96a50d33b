# cython: boundscheck=False, nonecheck=False
cimport cython
from cede.core.task.handle cimport Runnable

cdef extern from "ring.h":
    object slot_take "cede_slot_take"(list slots, Py_ssize_t at)
    int slot_put "cede_slot_put"(list slots, Py_ssize_t at, object item)
    int slots_move "cede_slots_move"(list slots, Py_ssize_t start, Py_ssize_t count, list fresh)

@cython.final
cdef class CompiledReadyQueue:
    cdef list slots
    cdef Py_ssize_t mask
    cdef readonly Py_ssize_t head
    cdef readonly Py_ssize_t tail

    cdef inline Py_ssize_t size(self) noexcept:
        return self.tail - self.head

    cdef inline int wake(self, Runnable item) except -1:
        if self.tail - self.head > self.mask:
            self.grow()
        slot_put(self.slots, self.tail & self.mask, item)
        self.tail += 1
        return 0

    cdef inline int wake_first(self, Runnable item) except -1:
        if self.tail - self.head > self.mask:
            self.grow()
        slot_put(self.slots, (self.head - 1) & self.mask, item)
        self.head -= 1
        return 0

    cdef inline Runnable popleft(self):
        # The caller makes sure that the ring is not empty.
        self.head += 1
        return <Runnable>slot_take(self.slots, (self.head - 1) & self.mask)

    @cython.locals(count=Py_ssize_t, at=Py_ssize_t)
    cdef bint rearrange(self, list before, list after) except -1
    @cython.locals(fresh=list, dropped=list)
    cdef int clear(self) except -1
    @cython.locals(count=Py_ssize_t, fresh=list)
    cdef int grow(self) except -1
