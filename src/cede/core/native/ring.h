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

#endif
