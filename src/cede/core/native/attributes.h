/* An instance dictionary that is made when it is needed.

   Cython's own `cdef dict __dict__` makes a dictionary with each object, which costs as much as the rest of a small object's
   life, and nearly no future or task is ever given an attribute. Here the dictionary's place is an ordinary field that starts as
   NULL, named to the interpreter as tp_dictoffset; generic attribute access fills it on first use, and Cython's traverse and
   clear functions know it as the field it is.

   To be called when the module is imported, before any type derives from the class: they inherit the offset. Each object must
   have cede_no_attributes() called on it as soon as it exists, in __cinit__, for Cython starts its fields as None.

   Cython gives no address of an object field, so the place is named by the field before it, which must be as wide as a pointer. */

#ifndef CEDE_ATTRIBUTES_H
#define CEDE_ATTRIBUTES_H

#include <Python.h>

static PyGetSetDef cede_dict_getset = {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL};

static inline int
cede_no_attributes(Py_ssize_t *before)
{
    PyObject **place = (PyObject **)(before + 1);
    PyObject *none = *place;
    *place = NULL;
    Py_XDECREF(none);
    return 0;
}

static inline int
cede_install_attributes(PyObject *type, PyObject *example, Py_ssize_t *before)
{
    PyObject **place = (PyObject **)(before + 1);
    if (*place != NULL) {
        PyErr_SetString(PyExc_SystemError, "the dictionary's place is not behind the field that names it");
        return -1;
    }
    PyTypeObject *kind = (PyTypeObject *)type;
    kind->tp_dictoffset = (char *)place - (char *)example;
    PyObject *descriptor = PyDescr_NewGetSet(kind, &cede_dict_getset);
    if (descriptor == NULL)
        return -1;
    int failed = PyDict_SetItemString(kind->tp_dict, "__dict__", descriptor);
    Py_DECREF(descriptor);
    PyType_Modified(kind);
    return failed;
}

#endif
