/* The two ends of a collections.deque, without the look-up of a method and the call protocol in front of what is 5 ns of work.

   What is called is the C function behind the type's own method, by the calling convention that the method declares; whatever is no
   plain deque, or has methods of another kind on some version, is called as any object is. */

#ifndef CEDE_DEQUE_H
#define CEDE_DEQUE_H

#include <Python.h>

static PyTypeObject *cede_deque_type;
static PyCFunction cede_deque_append_function, cede_deque_popleft_function;
static PyObject *cede_name_append, *cede_name_popleft;

static inline PyCFunction
cede_deque_method(PyObject *type, PyObject *name, int flags)
{
    PyObject *method = PyObject_GetAttr(type, name);
    if (method == NULL)
        return NULL;
    PyCFunction found = NULL;
    if (Py_IS_TYPE(method, &PyMethodDescr_Type) && ((PyMethodDescrObject *)method)->d_method->ml_flags == flags)
        found = ((PyMethodDescrObject *)method)->d_method->ml_meth;
    Py_DECREF(method);
    return found;
}

/* Called once, when the module is imported. */
static inline int
cede_prepare_deque(PyObject *type)
{
    cede_name_append = PyUnicode_InternFromString("append");
    cede_name_popleft = PyUnicode_InternFromString("popleft");
    if (cede_name_append == NULL || cede_name_popleft == NULL)
        return -1;
    cede_deque_append_function = cede_deque_method(type, cede_name_append, METH_O);
    cede_deque_popleft_function = cede_deque_method(type, cede_name_popleft, METH_NOARGS);
    if (PyErr_Occurred())
        return -1;
    cede_deque_type = (PyTypeObject *)Py_NewRef(type);
    return 0;
}

static inline int
cede_deque_append(PyObject *items, PyObject *item)
{
    PyObject *result;
    if (Py_IS_TYPE(items, cede_deque_type) && cede_deque_append_function != NULL)
        result = cede_deque_append_function(items, item);
    else
        result = PyObject_CallMethodOneArg(items, cede_name_append, item);
    if (result == NULL)
        return -1;
    Py_DECREF(result);
    return 0;
}

static inline PyObject *
cede_deque_popleft(PyObject *items)
{
    if (Py_IS_TYPE(items, cede_deque_type) && cede_deque_popleft_function != NULL)
        return cede_deque_popleft_function(items, NULL);
    return PyObject_CallMethodNoArgs(items, cede_name_popleft);
}

#endif
