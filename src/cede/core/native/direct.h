/* asyncio's own C functions, called without the call protocol in between.

   A task is entered in asyncio's tables and taken out again, and the current task changes twice a wake-up. Through the interpreter's call
   protocol each of these costs more than what the function does. What is called here is the C function behind a builtin, by the
   calling convention that the builtin itself declares; whatever is not such a builtin (3.11 has Python functions there, and a
   program may replace any of them before cede is imported) is called as any callable is. */

#ifndef CEDE_DIRECT_H
#define CEDE_DIRECT_H

#include <Python.h>

typedef PyObject *(*cede_fast_with_names)(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names);

typedef struct {
    PyObject *callable;
    PyObject *self;
    cede_fast_with_names function; /* NULL: call `callable` */
} cede_direct;

static inline int
cede_prepare(cede_direct *direct, PyObject *callable)
{
    direct->callable = Py_NewRef(callable);
    direct->function = NULL;
    if (PyCFunction_CheckExact(callable) && PyCFunction_GET_FLAGS(callable) == (METH_FASTCALL | METH_KEYWORDS)) {
        direct->self = PyCFunction_GET_SELF(callable);
        direct->function = (cede_fast_with_names)(void (*)(void))PyCFunction_GET_FUNCTION(callable);
    }
    return 0;
}

static inline PyObject *
cede_direct_call(const cede_direct *direct, PyObject *const *args, Py_ssize_t count)
{
    if (direct->function != NULL)
        return direct->function(direct->self, args, count, NULL);
    return PyObject_Vectorcall(direct->callable, args, (size_t)count, NULL);
}

static inline int
cede_direct_call1(const cede_direct *direct, PyObject *argument)
{
    PyObject *result = cede_direct_call(direct, &argument, 1);
    if (result == NULL)
        return -1;
    Py_DECREF(result);
    return 0;
}

static inline int
cede_direct_call2(const cede_direct *direct, PyObject *first, PyObject *second)
{
    PyObject *args[2] = {first, second};
    PyObject *result = cede_direct_call(direct, args, 2);
    if (result == NULL)
        return -1;
    Py_DECREF(result);
    return 0;
}

#endif
