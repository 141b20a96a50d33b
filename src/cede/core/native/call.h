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

/* How a callable wants to be called, or NULL: what PyObject_Vectorcall looks up, without a call to look it up. */
static inline vectorcallfunc
cede_vectorcall_of(PyObject *callable)
{
    PyTypeObject *type = Py_TYPE(callable);
    if (!PyType_HasFeature(type, Py_TPFLAGS_HAVE_VECTORCALL))
        return NULL;
    return *(vectorcallfunc *)((char *)callable + type->tp_vectorcall_offset);
}

/* callback(*args) inside context, which must not be entered yet. The exception, if any, is pending and NULL is returned. */
static inline PyObject *
cede_run_in(PyObject *context, PyObject *callback, PyObject *args)
{
    if (PyContext_Enter(context))
        return NULL;
    PyObject *const *items = ((PyTupleObject *)args)->ob_item;
    vectorcallfunc call = cede_vectorcall_of(callback);
    PyObject *result;
    if (call != NULL)
        result = call(callback, items, (size_t)PyTuple_GET_SIZE(args), NULL);
    else
        result = PyObject_Vectorcall(callback, items, (size_t)PyTuple_GET_SIZE(args), NULL);
    if (result != NULL && !PyContext_Exit(context))
        return result;
    if (result != NULL)
        Py_CLEAR(result);
    else
        cede_leave(context, NULL);
    return NULL;
}

/* Enters `context`, or a copy of it where it is entered already: a nested turn calls a protocol whose other method is running. The context that
   was entered, a new reference, or NULL.

   The caller has something to tell that nobody else knows of, data that was received for one. Up to Python 3.11 the collector runs where an
   object is made, and a finalizer could run a turn here, which would tell what came later: so it waits. */
static inline PyObject *
cede_enter_or_copy(PyObject *context)
{
#if PY_VERSION_HEX < 0x030C0000
    int collects = PyGC_Disable();
#endif
    PyObject *entered = NULL;
    if (!PyContext_Enter(context))
        entered = Py_NewRef(context);
    else if (PyErr_ExceptionMatches(PyExc_RuntimeError)) {
        PyErr_Clear();
        entered = PyContext_Copy(context);
        if (entered != NULL && PyContext_Enter(entered))
            Py_CLEAR(entered);
    }
#if PY_VERSION_HEX < 0x030C0000
    if (collects)
        PyGC_Enable();
#endif
    return entered;
}

/* callback(*args) inside context, or a copy of it where it is entered already. */
static inline PyObject *
cede_call_in(PyObject *context, PyObject *callback, PyObject *args)
{
    PyObject *entered = cede_enter_or_copy(context);
    if (entered == NULL)
        return NULL;
    PyObject *result = cede_leave(entered, PyObject_Call(callback, args, NULL));
    Py_DECREF(entered);
    return result;
}

/* owner.name(argument) inside context; looked up at the time of the call, without a bound method in between. */
static inline PyObject *
cede_call_method_in(PyObject *context, PyObject *owner, PyObject *name, PyObject *argument)
{
    PyObject *entered = cede_enter_or_copy(context);
    if (entered == NULL)
        return NULL;
    PyObject *stack[2] = {owner, argument};
    PyObject *result = PyObject_VectorcallMethod(name, stack, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    result = cede_leave(entered, result);
    Py_DECREF(entered);
    return result;
}

/* owner.name(first, second), the same way. */
static inline PyObject *
cede_call_method_with_two_in(PyObject *context, PyObject *owner, PyObject *name, PyObject *first, PyObject *second)
{
    PyObject *entered = cede_enter_or_copy(context);
    if (entered == NULL)
        return NULL;
    PyObject *stack[3] = {owner, first, second};
    PyObject *result = PyObject_VectorcallMethod(name, stack, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    result = cede_leave(entered, result);
    Py_DECREF(entered);
    return result;
}

/* As cede_run_in, for a caller that handles the failure itself: the exception instance is returned, None where there was none.
   No exception crosses compiled code, which would add a traceback entry for each function it leaves. */
static inline PyObject *
cede_failure_of(PyObject *context, PyObject *callback, PyObject *args)
{
    PyObject *result = cede_run_in(context, callback, args);
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

/* Takes the exception that a coroutine's throw() left: what the coroutine returned, where that was a StopIteration, or else the exception.

   Its class is looked at when there is an instance and not before: up to Python 3.11 the pending StopIteration may be a mere class, and what comes
   of it is a MemoryError where there is no room for the instance. A class of the user's whose __init__ did not call ours has no value. */
static inline PyObject *
cede_take_end(int *outcome)
{
    PyObject *raised = cede_take_exception();
    if (!PyErr_GivenExceptionMatches(raised, PyExc_StopIteration)) {
        *outcome = CEDE_RAISED;
        return raised;
    }
    PyObject *value = ((PyStopIterationObject *)raised)->value;
    *outcome = CEDE_RETURNED;
    value = Py_NewRef(value == NULL ? Py_None : value);
    Py_DECREF(raised);
    return value;
}

/* Leaves the context after a step. Where that fails, the failure is the step's outcome. */
static inline PyObject *
cede_leave_step(PyObject *context, PyObject *result, int *outcome)
{
    if (result == NULL)
        result = cede_take_exception();
    if (PyContext_Exit(context)) {
        if (*outcome == CEDE_RAISED)
            PyErr_Clear();
        else {
            Py_XDECREF(result);
            *outcome = CEDE_RAISED;
            result = cede_take_exception();
        }
    }
    return result;
}

/* One step of a coroutine inside its context, sent a value. Returns what was yielded, returned or raised, and says which in *outcome.
   Never leaves an exception pending. */
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
    }
    return cede_leave_step(context, result, outcome);
}

static inline PyObject *
cede_resume_plain(PyObject *context, PyObject *coroutine, int *outcome)
{
    return cede_resume_with(context, coroutine, Py_None, outcome);
}

/* The same with an exception thrown in. */
static inline PyObject *
cede_resume_throwing(PyObject *context, PyObject *coroutine, PyObject *exception, int *outcome)
{
    if (PyContext_Enter(context)) {
        *outcome = CEDE_RAISED;
        return cede_take_exception();
    }
    PyObject *result = PyObject_CallMethod(coroutine, "throw", "O", exception);
    *outcome = CEDE_YIELDED;
    if (result == NULL)
        result = cede_take_end(outcome);
    return cede_leave_step(context, result, outcome);
}

/* `exception` thrown in, or None sent where that is None. */
static inline PyObject *
cede_resume(PyObject *context, PyObject *coroutine, PyObject *exception, int *outcome)
{
    if (exception == Py_None)
        return cede_resume_plain(context, coroutine, outcome);
    return cede_resume_throwing(context, coroutine, exception, outcome);
}

/* One step of an awaited object that runs inside another step: no context is entered. Answers as the functions above.

   Whoever calls this drives something that may be of its own kind: the interpreter looks after the depth of its own frames only, and a chain
   of compiled awaitables has none. */
static inline PyObject *
cede_send_to(PyObject *awaited, PyObject *value, int *outcome)
{
    PyObject *result = NULL;
    *outcome = CEDE_RAISED;
    if (Py_EnterRecursiveCall(" in an awaitable that drives another"))
        return cede_take_exception();
    switch (PyIter_Send(awaited, value, &result)) {
    case PYGEN_NEXT:
        *outcome = CEDE_YIELDED;
        break;
    case PYGEN_RETURN:
        *outcome = CEDE_RETURNED;
        break;
    default:
        result = cede_take_exception();
    }
    Py_LeaveRecursiveCall();
    return result;
}

/* One step of whatever an await drives, in the context that is entered already: sent None, or thrown `exception` where that is not None. */
static inline PyObject *
cede_drive(PyObject *iterator, PyObject *exception, int *outcome)
{
    PyObject *result = NULL;
    if (exception == Py_None)
        return cede_send_to(iterator, Py_None, outcome);
    PyObject *throw = PyObject_GetAttrString(iterator, "throw");
    if (throw != NULL) {
        result = PyObject_CallOneArg(throw, exception);
        Py_DECREF(throw);
    }
    else if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear(); /* a bare iterator: the error goes through it, as in the interpreter's own await */
        cede_set_exception(exception);
    }
    if (result != NULL) {
        *outcome = CEDE_YIELDED;
        return result;
    }
    return cede_take_end(outcome);
}

/* Whether the caller holds the only reference, strong or weak, to an object. */
static inline int
cede_nobody_else_holds(PyObject *object)
{
    return Py_REFCNT(object) == 1 && *(PyObject **)((char *)object + Py_TYPE(object)->tp_weaklistoffset) == NULL;
}

/* Whether an object's class was made by a `class` statement that is not compiled, and may redefine anything. */
static inline int
cede_defined_in_python(PyObject *object)
{
    return PyType_HasFeature(Py_TYPE(object), Py_TPFLAGS_HEAPTYPE);
}

/* The innermost Python frame, or None. sys._getframe(0) is not for compiled callers: in a finalizer that the interpreter runs between two
   frames it finds one without a code object, and crashes. */
static inline PyObject *
cede_current_frame(void)
{
    PyObject *frame = (PyObject *)PyEval_GetFrame();
    return Py_NewRef(frame == NULL ? Py_None : frame);
}

/* Whether a thread's number, as threading.get_ident() gives it, is that of the running one. None is nobody's. */
static inline int
cede_is_this_thread(PyObject *number)
{
    if (!PyLong_CheckExact(number))
        return 0;
    unsigned long ident = PyLong_AsUnsignedLong(number);
    if (ident == (unsigned long)-1 && PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    return ident == PyThread_get_thread_ident();
}

/* A number of seconds as C has it; TypeError for what is no number. An int is not turned into a float object first. */
static inline double
cede_seconds(PyObject *number)
{
    if (PyFloat_CheckExact(number))
        return PyFloat_AS_DOUBLE(number);
    if (PyLong_CheckExact(number))
        return PyLong_AsDouble(number);
    return PyFloat_AsDouble(number);
}

/* Whether `thing`, an item of a tuple that is being read, is held by that tuple and its reader alone. */
static inline int
cede_only_in_tuple(PyObject *thing)
{
    return Py_REFCNT(thing) == 2;
}

/* Seconds of the monotonic clock, the one that time.monotonic() reads. */
static inline double
cede_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* asyncio's own C functions, called without the call protocol in between.

   A task is entered in asyncio's tables and taken out again, and the current task changes twice a wake-up. Through the interpreter's call
   protocol each of these costs more than what the function does. What is called here is the C function behind a builtin, by the
   calling convention that the builtin itself declares; whatever is not such a builtin (3.11 has Python functions there, and a
   program may replace any of them before cede is imported) is called as any callable is. */

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
