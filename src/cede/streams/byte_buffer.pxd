cimport cython
from cede.core.task.attributed cimport Attributed

cdef extern from *:
    """
    #include <string.h>

    /* Cython 3.3 uses these for bytearrays and forgets to define them where nothing else in the module needs them. */
    #ifndef Py_GIL_DISABLED
    #define __Pyx_BEGIN_CRITICAL_SECTION(o) {
    #define __Pyx_END_CRITICAL_SECTION() }
    #endif

    static Py_ssize_t
    cede_search(const char *text, Py_ssize_t length, Py_ssize_t from, PyObject *separator)
    {
        Py_ssize_t wanted = PyBytes_GET_SIZE(separator);
        const char *found;
        if (length - from < wanted)
            return -1;
        if (wanted == 1)
            found = memchr(text + from, PyBytes_AS_STRING(separator)[0], (size_t)(length - from));
        else
            found = memmem(text + from, (size_t)(length - from), PyBytes_AS_STRING(separator), (size_t)wanted);
        return found == NULL ? -1 : (Py_ssize_t)(found - text);
    }

    #define cede_search_bytes(text, from, separator) \
        cede_search(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), from, separator)
    #define cede_search_pile(text, from, separator) \
        cede_search(PyByteArray_AS_STRING(text), PyByteArray_GET_SIZE(text), from, separator)
    #define cede_head(text, count) PyBytes_FromStringAndSize(PyByteArray_AS_STRING(text), count)
    """
    Py_ssize_t search_bytes "cede_search_bytes"(bytes text, Py_ssize_t start, bytes separator) noexcept
    Py_ssize_t search_pile "cede_search_pile"(bytearray text, Py_ssize_t start, bytes separator) noexcept
    bytes head_of "cede_head"(bytearray text, Py_ssize_t count)

cdef class ByteBuffer(Attributed):
    cdef Py_ssize_t taken
    cdef Py_ssize_t start
    cdef bytes chunk
    cdef bytearray pile
    cdef bint shared

    cdef Py_ssize_t held(self) except -1
    cdef int fold(self) except -1
    cdef int put(self, object data) except -1
    @cython.locals(rest=Py_ssize_t, chunk=bytes)
    cdef bytes take(self, Py_ssize_t count)
    cdef int skip(self, Py_ssize_t count) except -1
    @cython.locals(at=Py_ssize_t)
    cdef Py_ssize_t find(self, object separator, Py_ssize_t offset) except -2
