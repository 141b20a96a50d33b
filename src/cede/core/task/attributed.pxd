cimport cython
from cede.core.task.handle cimport Runnable

cdef extern from "objects.h":
    int no_attributes "cede_no_attributes"(Py_ssize_t *before)
    int install_attributes "cede_install_attributes"(object kind, object example, Py_ssize_t *before) except -1

@cython.trashcan(True)
cdef class Attributed:
    cdef Py_ssize_t before  # the field before `attributes`, whose own address Cython does not give
    cdef object attributes
    cdef object __weakref__
    cdef int hold_no_attributes(self) except -1
    cdef int expose_attributes(self) except -1

cdef class OpenRunnable(Runnable):
    cdef Py_ssize_t state  # likewise; a future keeps its state there
    cdef object attributes
    cdef int hold_no_attributes(self) except -1
    cdef int expose_attributes(self) except -1

cdef int lay_open(Attributed example) except -1
cdef int lay_runnable_open(OpenRunnable example) except -1
