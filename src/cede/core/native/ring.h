/* The two moves of the ring, on the storage of a list: what Cython makes of an item assignment re-checks type and bounds. */

#ifndef CEDE_RING_H
#define CEDE_RING_H

#include <Python.h>

/* Moves the item out of slot `at` and leaves None there. */
static inline PyObject *
cede_slot_take(PyObject *slots, Py_ssize_t at)
{
    PyObject *item = PyList_GET_ITEM(slots, at);
    PyList_SET_ITEM(slots, at, Py_NewRef(Py_None));
    return item;
}

/* Puts an item into slot `at`, which holds None. */
static inline int
cede_slot_put(PyObject *slots, Py_ssize_t at, PyObject *item)
{
    Py_DECREF(PyList_GET_ITEM(slots, at));
    PyList_SET_ITEM(slots, at, Py_NewRef(item));
    return 0;
}

/* Moves the `count` items of a full ring, the oldest of which stands at `start`, to the head of `fresh`, which holds None. */
static inline int
cede_slots_move(PyObject *slots, Py_ssize_t start, Py_ssize_t count, PyObject *fresh)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t at = (start + i) & (count - 1);
        PyObject *none = PyList_GET_ITEM(fresh, i);
        PyList_SET_ITEM(fresh, i, PyList_GET_ITEM(slots, at));
        PyList_SET_ITEM(slots, at, none);
    }
    return 0;
}

/* The two ends of a collections.deque, without the look-up of a method and the call protocol in front of what is 5 ns of work.

   What is called is the C function behind the type's own method, by the calling convention that the method declares; whatever is no
   plain deque, or has methods of another kind on some version, is called as any object is. */

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
