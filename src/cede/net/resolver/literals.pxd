cimport cython

cdef extern from "literal.h":
    object canonical "cede_canonical_literal"(object host)
    int tell_auditors "cede_audit_getaddrinfo"(object host, object port, object family, object type, object proto) except -1

cdef long HARMLESS
cdef dict shapes

@cython.locals(number=int, bits=long, text=str, wide=bint)
cpdef numeric_answer(object host, object port, object family, object type, object proto, object flags)
@cython.locals(text=str)
cpdef literal_info(object host, object port, object family, object type, object proto, object flowinfo=*, object scopeid=*)
@cython.locals(size=Py_ssize_t, text=str)
cpdef bint is_numeric(object address, int family) except -1
cdef int port_number(object port) except -2
cdef list ask_and_learn(tuple key, object host, object port, int number, str text, bint wide)
