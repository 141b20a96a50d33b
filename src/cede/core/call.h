/* Entering a contextvars.Context from C, for callbacks and for coroutines.

   The public way, Context.run(), costs a method call and a second argument tuple for each step. PyContext_Enter and
   PyContext_Exit do the same work in place. The one duty that comes with them: whatever happens in between, the exit must
   be made, with the pending exception put aside, or the thread is left in a foreign context for ever. */

#ifndef CEDE_CALL_H
#define CEDE_CALL_H

#include <Python.h>
#include <time.h>

/* Takes the pending exception: a new reference, normalised, with its traceback attached. */
static inline PyObject *
cede_take_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_XDECREF(type);
    return value;
#endif
}

/* Makes an exception instance the pending one, traceback and all. Steals nothing. */
static inline void
cede_set_exception(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(Py_NewRef(exception));
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), Py_NewRef(exception), PyException_GetTraceback(exception));
#endif
}

/* Leaves the context after a call; where that failed, its exception survives unless the exit itself fails. */
static inline PyObject *
cede_leave(PyObject *context, PyObject *result)
{
    if (result != NULL) {
        if (PyContext_Exit(context))
            Py_CLEAR(result);
        return result;
    }
    PyObject *pending = cede_take_exception();
    if (!PyContext_Exit(context))
        cede_set_exception(pending);
    Py_DECREF(pending);
    return NULL;
}

/* callback(*args) inside context. The exception, if any, is pending and NULL is returned. */
static inline PyObject *
cede_call_in(PyObject *context, PyObject *callback, PyObject *args)
{
    if (PyContext_Enter(context))
        return NULL;
    PyObject *result = PyObject_Vectorcall(callback, ((PyTupleObject *)args)->ob_item, (size_t)PyTuple_GET_SIZE(args), NULL);
    return cede_leave(context, result);
}

/* owner.name(argument) inside context; looked up at the time of the call, without a bound method in between. */
static inline PyObject *
cede_call_method_in(PyObject *context, PyObject *owner, PyObject *name, PyObject *argument)
{
    if (PyContext_Enter(context))
        return NULL;
    PyObject *stack[2] = {owner, argument};
    PyObject *result = PyObject_VectorcallMethod(name, stack, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    return cede_leave(context, result);
}

/* owner.name(first, second), the same way. */
static inline PyObject *
cede_call_method_with_two_in(PyObject *context, PyObject *owner, PyObject *name, PyObject *first, PyObject *second)
{
    if (PyContext_Enter(context))
        return NULL;
    PyObject *stack[3] = {owner, first, second};
    PyObject *result = PyObject_VectorcallMethod(name, stack, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    return cede_leave(context, result);
}

/* As cede_call_in, for a caller that handles the failure itself: the exception instance is returned, None where there was none.
   No exception crosses compiled code, which would add a traceback entry for each function it leaves. */
static inline PyObject *
cede_failure_of(PyObject *context, PyObject *callback, PyObject *args)
{
    PyObject *result = cede_call_in(context, callback, args);
    if (result == NULL)
        return cede_take_exception();
    Py_DECREF(result);
    Py_RETURN_NONE;
}

/* The states of a future. */
#define CEDE_PENDING 0
#define CEDE_CANCELLED 1
#define CEDE_FINISHED 2

#define CEDE_RETURNED 0
#define CEDE_YIELDED 1
#define CEDE_RAISED 2

/* One step of a coroutine inside its context: sends None, or throws `exception` where that is not None.
   Returns what was yielded, returned or raised, and says which in *outcome. Never leaves an exception pending. */
static inline PyObject *
cede_resume(PyObject *context, PyObject *coroutine, PyObject *exception, int *outcome)
{
    PyObject *result = NULL;
    if (PyContext_Enter(context)) {
        *outcome = CEDE_RAISED;
        return cede_take_exception();
    }
    if (exception == Py_None) {
        switch (PyIter_Send(coroutine, Py_None, &result)) {
        case PYGEN_NEXT:
            *outcome = CEDE_YIELDED;
            break;
        case PYGEN_RETURN:
            *outcome = CEDE_RETURNED;
            break;
        default:
            *outcome = CEDE_RAISED;
        }
    }
    else {
        result = PyObject_CallMethod(coroutine, "throw", "O", exception);
        *outcome = CEDE_YIELDED;
        if (result == NULL) {
            *outcome = CEDE_RAISED;
            if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
                PyObject *stop = cede_take_exception();
                result = Py_NewRef(((PyStopIterationObject *)stop)->value);
                Py_DECREF(stop);
                *outcome = CEDE_RETURNED;
            }
        }
    }
    if (*outcome == CEDE_RAISED) {
        result = cede_take_exception();
        if (PyContext_Exit(context))
            PyErr_Clear();
    }
    else if (PyContext_Exit(context)) {
        Py_XDECREF(result);
        *outcome = CEDE_RAISED;
        result = cede_take_exception();
    }
    return result;
}

/* The same for a generator task, which is sent what it waited for. */
static inline PyObject *
cede_resume_with(PyObject *context, PyObject *coroutine, PyObject *value, int *outcome)
{
    PyObject *result = NULL;
    if (PyContext_Enter(context)) {
        *outcome = CEDE_RAISED;
        return cede_take_exception();
    }
    switch (PyIter_Send(coroutine, value, &result)) {
    case PYGEN_NEXT:
        *outcome = CEDE_YIELDED;
        break;
    case PYGEN_RETURN:
        *outcome = CEDE_RETURNED;
        break;
    default:
        *outcome = CEDE_RAISED;
        result = cede_take_exception();
    }
    if (PyContext_Exit(context)) {
        Py_XDECREF(result);
        *outcome = CEDE_RAISED;
        result = cede_take_exception();
    }
    return result;
}

/* Whether the caller holds the only reference, strong or weak, to an object. */
static inline int
cede_nobody_else_holds(PyObject *object)
{
    return Py_REFCNT(object) == 1 && *(PyObject **)((char *)object + Py_TYPE(object)->tp_weaklistoffset) == NULL;
}

/* The innermost Python frame, or None. sys._getframe(0) is not for compiled callers: in a finalizer that the interpreter runs between two
   frames it finds one without a code object, and crashes. */
static inline PyObject *
cede_current_frame(void)
{
    PyObject *frame = (PyObject *)PyEval_GetFrame();
    return Py_NewRef(frame == NULL ? Py_None : frame);
}

/* Seconds of the monotonic clock, the one that time.monotonic() reads. */
static inline double
cede_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif
