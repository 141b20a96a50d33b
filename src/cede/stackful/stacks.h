/* The greenlet package's C interface, by the capsule that it offers at run time: nothing of it is needed to build cede.

   The places in the table are the package's published interface, unchanged since its version 0.4. */

#ifndef CEDE_STACKS_H
#define CEDE_STACKS_H

#include <Python.h>
#include "../core/native/call.h"

#define CEDE_GREENLET_CURRENT 4
#define CEDE_GREENLET_THROW 5
#define CEDE_GREENLET_SWITCH 6

static PyObject *(*cede_greenlet_current)(void);
static PyObject *(*cede_greenlet_switch)(PyObject *, PyObject *, PyObject *);
static PyObject *(*cede_greenlet_throw)(PyObject *, PyObject *, PyObject *, PyObject *);
static PyObject *cede_no_arguments;

static inline int
cede_import_stacks(void)
{
    void **table = (void **)PyCapsule_Import("greenlet._C_API", 0);
    if (table == NULL)
        return -1;
    cede_greenlet_current = (PyObject *(*)(void))table[CEDE_GREENLET_CURRENT];
    cede_greenlet_throw = (PyObject *(*)(PyObject *, PyObject *, PyObject *, PyObject *))table[CEDE_GREENLET_THROW];
    cede_greenlet_switch = (PyObject *(*)(PyObject *, PyObject *, PyObject *))table[CEDE_GREENLET_SWITCH];
    cede_no_arguments = PyTuple_New(0);
    return cede_no_arguments == NULL ? -1 : 0;
}

static inline PyObject *
cede_current_stack(void)
{
    return cede_greenlet_current();
}

/* greenlet copies stacks away and back, which AddressSanitizer takes for reads beside variables, and the marks around the variables of one
   stack stay where the next one runs. So the marks of all frames that are left or come back are wiped out: the sanitizer no longer sees
   an access beside a variable of these frames, and still sees everything else. */
#ifdef __SANITIZE_ADDRESS__
void __asan_handle_no_return(void);
#define CEDE_FORGET_MARKS() __asan_handle_no_return()
#else
#define CEDE_FORGET_MARKS() ((void)0)
#endif

/* The function's side of a switch: go on with the driver, until it comes back here. None, or the exception that rises here: no handler, which
   would have to be kept on the stack, is needed for it. */
static inline PyObject *
cede_give_way(PyObject *driver)
{
    CEDE_FORGET_MARKS();
    PyObject *result = cede_greenlet_switch(driver, cede_no_arguments, NULL);
    if (result == NULL)
        return cede_take_exception();
    Py_DECREF(result);
    Py_RETURN_NONE;
}

/* The driver's side of it: what the stack comes back with, or, if *outcome is made CEDE_RAISED, the exception that ended its function.
   That one crosses no compiled code, which would add itself to its traceback. Anything but None in `error` is raised over there. */
static inline PyObject *
cede_switch_step(PyObject *stack, PyObject *args, PyObject *kwargs, PyObject *error, int *outcome)
{
    PyObject *result;
    CEDE_FORGET_MARKS();
    if (error == Py_None)
        result = cede_greenlet_switch(stack, args, kwargs == Py_None ? NULL : kwargs);
    else
        result = cede_greenlet_throw(stack, (PyObject *)Py_TYPE(error), error, NULL);
    if (result != NULL)
        return result;
    *outcome = CEDE_RAISED;
    return cede_take_exception();
}

#endif
