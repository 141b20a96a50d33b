/* Classes whose objects the runtime alone makes.

   An object of a compiled class that was made bare has fields that were never set, and its methods were not written for that. So what the
   runtime makes for itself has no door: `__new__` is taken out of such a class, and where all of its objects are made from C, through the
   class's tp_new, calling it is refused as well, and deriving from it. */

#ifndef CEDE_SEALED_H
#define CEDE_SEALED_H

#include <Python.h>

static int
cede_refuse_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    PyErr_Format(PyExc_TypeError, "cannot create '%.200s' instances: cede makes them itself", Py_TYPE(self)->tp_name);
    return -1;
}

/* To be called when every class that derives from `kind` is there. */
static inline int
cede_take_door(PyObject *kind, int altogether)
{
    if (!PyType_Check(kind) || PyType_HasFeature((PyTypeObject *)kind, Py_TPFLAGS_HEAPTYPE)) {
        PyErr_SetString(PyExc_TypeError, "take_door(): kind must be a compiled class");
        return -1;
    }
    PyTypeObject *type = (PyTypeObject *)kind;
    PyObject *entry = PyDict_GetItemString(type->tp_dict, "__new__");
    if (entry != NULL && PyDict_DelItemString(type->tp_dict, "__new__"))
        return -1;
    if (altogether) {
        type->tp_init = cede_refuse_init;
        type->tp_vectorcall = NULL; /* it makes one without a look at tp_init */
        type->tp_flags &= ~Py_TPFLAGS_BASETYPE;
    }
    PyType_Modified(type);
    return 0;
}

#endif
