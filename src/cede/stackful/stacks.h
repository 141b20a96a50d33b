/* The greenlet package's C interface, by the capsule that it offers at run time: nothing of it is needed to build cede.

   The places in the table are the package's published interface, unchanged since its version 0.4. */

#ifndef CEDE_STACKS_H
#define CEDE_STACKS_H

#include <Python.h>

#define CEDE_GREENLET_CURRENT 4
#define CEDE_GREENLET_SWITCH 6

static PyObject *(*cede_greenlet_current)(void);
static PyObject *(*cede_greenlet_switch)(PyObject *, PyObject *, PyObject *);
static PyObject *cede_no_arguments;

static inline int
cede_import_stacks(void)
{
    void **table = (void **)PyCapsule_Import("greenlet._C_API", 0);
    if (table == NULL)
        return -1;
    cede_greenlet_current = (PyObject *(*)(void))table[CEDE_GREENLET_CURRENT];
    cede_greenlet_switch = (PyObject *(*)(PyObject *, PyObject *, PyObject *))table[CEDE_GREENLET_SWITCH];
    cede_no_arguments = PyTuple_New(0);
    return cede_no_arguments == NULL ? -1 : 0;
}

static inline PyObject *
cede_current_stack(void)
{
    return cede_greenlet_current();
}

/* Go on with `stack` until it, or somebody else, comes back here. */
static inline PyObject *
cede_switch_to(PyObject *stack)
{
    return cede_greenlet_switch(stack, cede_no_arguments, NULL);
}

#endif
