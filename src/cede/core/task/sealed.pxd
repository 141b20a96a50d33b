cdef extern from "objects.h":
    int c_take_door "cede_take_door"(object kind, bint altogether) except -1
