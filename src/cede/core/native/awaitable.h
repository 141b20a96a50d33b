/* The end of an await, without the price of an exception that crosses compiled code.

   The interpreter resumes an awaited object through tp_iternext, and a value that is not None has to come back in a
   StopIteration. Raised from compiled Cython code that costs 300 to 1,000 ns, nearly all of it for a traceback entry that
   nobody will read. So the slot of Operation is this function: it asks advance() what happened, and sets the error itself.

   What advance() answers is Operation's contract, see awaitable.py. */

#ifndef CEDE_AWAITABLE_H
#define CEDE_AWAITABLE_H

#include <Python.h>
#include "call.h"

/* The door that fair loops put before whatever is awaited (coop.py). One of it exists; each family of awaitables has its address.

   While no loop is fair an await pays one comparison with `loops`. */

typedef struct {
    Py_ssize_t loops;     /* how many open loops are fair */
    int (*budget_exhausted)(void);   /* whether the running task has used up what it may do in this step */
    void (*record_forced_yield)(void);   /* it gives way now */
    void (*record_await)(void);  /* an await has ended */
} cede_door;

#if defined(__GNUC__) || defined(__clang__)
#define CEDE_COLD __attribute__((cold, noinline))
#else
#define CEDE_COLD
#endif

#define CEDE_ENDED 0
#define CEDE_SUSPENDED 1
#define CEDE_FAILED 2

typedef int (*cede_advance_function)(PyObject *);
typedef PyObject *(*cede_value_function)(PyObject *);

typedef int (*cede_predicate)(PyObject *);

static cede_advance_function cede_advance;
static cede_value_function cede_value;
static cede_predicate cede_may_give_way;
static cede_door *cede_fair;

#if PY_VERSION_HEX >= 0x030C0000 && !defined(Py_GIL_DISABLED)
/* From 3.12 on an exception is made the moment it is set, and this one dies again at once: together a seventh of what a read of a
   stream costs. So one is kept for the commonest values, and used again while nobody else holds it. It keeps the last such value
   alive until the next; hence only what nobody can watch die, and not much of it. */
#define CEDE_KEEPS 65536

static inline int
cede_is_kept(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyBytes_Type)
        return PyBytes_GET_SIZE(value) <= CEDE_KEEPS;
    if (type == &PyLong_Type)
        return PyUnstable_Long_IsCompact((PyLongObject *)value);
    if (type == &PyUnicode_Type)
        return PyUnicode_GET_LENGTH(value) <= CEDE_KEEPS / 4;
    return value == Py_True || value == Py_False || type == &PyFloat_Type;
}

static PyObject *cede_stop;

static inline int
cede_end_with_kept(PyObject *value)
{
    PyBaseExceptionObject *stop = (PyBaseExceptionObject *)cede_stop;
    if (stop != NULL && (Py_REFCNT(stop) != 1 || stop->traceback != NULL || stop->context != NULL || stop->cause != NULL
                         || stop->dict != NULL || stop->notes != NULL)) {
        /* Somebody caught it: it is theirs now. */
        Py_CLEAR(cede_stop);
        stop = NULL;
    }
    if (stop == NULL) {
        cede_stop = PyObject_CallNoArgs(PyExc_StopIteration);
        if (cede_stop == NULL)
            return -1;
    }
    PyObject *before = ((PyStopIterationObject *)cede_stop)->value;
    ((PyStopIterationObject *)cede_stop)->value = value;
    Py_XDECREF(before);
    PyErr_SetRaisedException(Py_NewRef(cede_stop));
    return 0;
}
#endif

/* Consumes `value`. None needs no exception at all: NULL with nothing pending is a plain end. */
static inline void
cede_end_with(PyObject *value)
{
#ifdef CEDE_KEEPS
    if (cede_is_kept(value)) {
        if (cede_end_with_kept(value) < 0)
            Py_DECREF(value);
        return;
    }
#endif
    if (value != Py_None) {
        /* The interpreter makes the arguments of a lazily created exception from a tuple, and takes an exception instance
           for the exception itself: both must be wrapped here. */
        if (PyTuple_Check(value) || PyExceptionInstance_Check(value)) {
            PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
            if (stop != NULL) {
                PyErr_SetObject(PyExc_StopIteration, stop);
                Py_DECREF(stop);
            }
        }
        else
            PyErr_SetObject(PyExc_StopIteration, value);
    }
    Py_DECREF(value);
}

static inline PyObject *
cede_go_on(PyObject *self, int outcome)
{
    if (outcome < 0)
        return NULL;
    PyObject *value = cede_value(self);
    if (outcome == CEDE_SUSPENDED)
        return value;
    if (outcome == CEDE_FAILED) {
        PyErr_SetObject((PyObject *)Py_TYPE(value), value);
        Py_DECREF(value);
    }
    else
        cede_end_with(value);
    return NULL;
}

/* While a loop is fair. */
static CEDE_COLD PyObject *
cede_iternext_fairly(PyObject *self)
{
    int counts = cede_may_give_way(self);
    if (counts && cede_fair->budget_exhausted()) {
        cede_fair->record_forced_yield();
        Py_RETURN_NONE;
    }
    int outcome = cede_advance(self);
    if (counts && outcome != CEDE_SUSPENDED)
        cede_fair->record_await();
    return cede_go_on(self, outcome);
}

static PyObject *
cede_iternext(PyObject *self)
{
    if (cede_fair->loops != 0)
        return cede_iternext_fairly(self);
    return cede_go_on(self, cede_advance(self));
}

/* may_give_way: whether an awaitable has done nothing yet, so that a fair loop may have it wait for a turn first.
   Called once, when the module is imported and before any type derives from Operation: they inherit the slot. */
static inline int
cede_install_iternext(PyObject *type, void *advance, void *value, void *may_give_way, void *fair)
{
    cede_advance = (cede_advance_function)advance;
    cede_value = (cede_value_function)value;
    cede_may_give_way = (cede_predicate)may_give_way;
    cede_fair = (cede_door *)fair;
    ((PyTypeObject *)type)->tp_iternext = cede_iternext;
    PyType_Modified((PyTypeObject *)type);
    return 0;
}

/* For a type that is awaited without an iterator in between: what its am_await slot returns is the object itself, whose tp_iternext is
   cede_iternext. Only the interpreter sees this: `__await__`, `__iter__` and iter() still make an iterator, there is no `__next__`,
   and a subclass written in Python gets the ordinary slots. */
static PyObject *
cede_await_itself(PyObject *self)
{
    return Py_NewRef(self);
}

static inline int
cede_install_await(PyObject *type, void *advance, void *value, void *may_give_way, void *fair)
{
    ((PyTypeObject *)type)->tp_as_async->am_await = cede_await_itself;
    return cede_install_iternext(type, advance, value, may_give_way, fair);
}

#endif
