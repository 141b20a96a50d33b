cimport cython

cdef object checked(object data, str name)

@cython.locals(total=Py_ssize_t, size=Py_ssize_t)
cdef Py_ssize_t gather(object list_of_data, list pieces) except -1

cdef Py_ssize_t keep(list queue, object data, Py_ssize_t taken) except -1

@cython.locals(kept=Py_ssize_t, size=Py_ssize_t)
cdef Py_ssize_t keep_rest(list queue, list pieces, Py_ssize_t taken) except -1

@cython.locals(count=Py_ssize_t, size=Py_ssize_t)
cdef int drop(list queue, Py_ssize_t taken) except -1
