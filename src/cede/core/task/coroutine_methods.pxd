cdef extern from "methods.h":
    object new_coroutine_method "cede_new_coroutine_method"(object method, object form)
    int put_in_type "cede_put_in_type"(object type, object name, object method) except -1
