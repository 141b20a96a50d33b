/* A method in C that is a coroutine function to whoever asks.

   A method of a compiled class that returns an awaitable has no code object and takes no attributes, so `inspect` and `asyncio` say that
   it is no coroutine function, and who believes them calls it, and drops what it returns. An object of this type stands in the method's
   place: a call goes straight on to the method, and every question is answered by `form`, an `async def` function of the same
   parameters, which never runs. The interpreter calls it without a bound method in between, as it does Python's functions.

   The interpreter has short ways to call a method of a compiled class, and none to call this. So the C function behind the method is called
   straight away wherever the arguments are plainly right; all others go to the method, which knows what to say of them. */

#ifndef CEDE_COROUTINE_METHOD_H
#define CEDE_COROUTINE_METHOD_H

#include <Python.h>
#include <structmember.h>

typedef PyObject *(*cede_fast_function)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

typedef struct {
    PyObject_HEAD
    vectorcallfunc enter;
    vectorcallfunc call;
    PyCFunction function;
    PyObject *receiver;    /* of a function: what it is called with; lives as long as `method` */
    PyTypeObject *owner;   /* of a method: whose objects it takes; the same */
    PyObject *method;
    PyObject *form;
    PyObject *weakrefs;
} cede_coroutine_method;

static PyObject *
cede_coroutine_method_enter(PyObject *self, PyObject *const *args, size_t count, PyObject *names)
{
    cede_coroutine_method *own = (cede_coroutine_method *)self;
    return own->call(own->method, args, count, names);
}

/* A method whose arguments are handed on as they are. */
static PyObject *
cede_coroutine_method_enter_fast(PyObject *self, PyObject *const *args, size_t count, PyObject *names)
{
    cede_coroutine_method *own = (cede_coroutine_method *)self;
    Py_ssize_t given = PyVectorcall_NARGS(count);
    if (given < 1 || !PyObject_TypeCheck(args[0], own->owner))
        return own->call(own->method, args, count, names);
    return ((cede_fast_function)(void (*)(void))own->function)(args[0], args + 1, given - 1, names);
}

/* A method without arguments. */
static PyObject *
cede_coroutine_method_enter_none(PyObject *self, PyObject *const *args, size_t count, PyObject *names)
{
    cede_coroutine_method *own = (cede_coroutine_method *)self;
    if (PyVectorcall_NARGS(count) != 1 || names != NULL || !PyObject_TypeCheck(args[0], own->owner))
        return own->call(own->method, args, count, names);
    return own->function(args[0], NULL);
}

/* A method with one argument, which has no name. */
static PyObject *
cede_coroutine_method_enter_one(PyObject *self, PyObject *const *args, size_t count, PyObject *names)
{
    cede_coroutine_method *own = (cede_coroutine_method *)self;
    if (PyVectorcall_NARGS(count) != 2 || names != NULL || !PyObject_TypeCheck(args[0], own->owner))
        return own->call(own->method, args, count, names);
    return own->function(args[0], args[1]);
}

/* A function of a module. */
static PyObject *
cede_coroutine_method_enter_function(PyObject *self, PyObject *const *args, size_t count, PyObject *names)
{
    cede_coroutine_method *own = (cede_coroutine_method *)self;
    return ((cede_fast_function)(void (*)(void))own->function)(own->receiver, args, PyVectorcall_NARGS(count), names);
}

/* Finds the shortest way to `made->method`. */
static inline void
cede_coroutine_method_shorten(cede_coroutine_method *made)
{
    if (Py_IS_TYPE(made->method, &PyCFunction_Type)) {
        made->function = PyCFunction_GET_FUNCTION(made->method);
        made->receiver = PyCFunction_GET_SELF(made->method);
        if (PyCFunction_GET_FLAGS(made->method) == (METH_FASTCALL | METH_KEYWORDS))
            made->enter = cede_coroutine_method_enter_function;
    }
    else if (Py_IS_TYPE(made->method, &PyMethodDescr_Type)) {
        PyMethodDef *definition = ((PyMethodDescrObject *)made->method)->d_method;
        made->function = definition->ml_meth;
        made->owner = PyDescr_TYPE(made->method);
        if (definition->ml_flags == (METH_FASTCALL | METH_KEYWORDS))
            made->enter = cede_coroutine_method_enter_fast;
        else if (definition->ml_flags == METH_NOARGS)
            made->enter = cede_coroutine_method_enter_none;
        else if (definition->ml_flags == METH_O)
            made->enter = cede_coroutine_method_enter_one;
    }
}

static PyObject *
cede_coroutine_method_bind(PyObject *self, PyObject *object, PyObject *type)
{
    (void)type;
    if (object == NULL || object == Py_None)
        return Py_NewRef(self);
    return PyMethod_New(self, object);
}

static int
cede_coroutine_method_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((cede_coroutine_method *)self)->method);
    Py_VISIT(((cede_coroutine_method *)self)->form);
    return 0;
}

/* No tp_clear: it is called by its type's users to the very end, and a cycle through `form` is broken by that. */
static void
cede_coroutine_method_dealloc(PyObject *self)
{
    cede_coroutine_method *own = (cede_coroutine_method *)self;
    PyObject_GC_UnTrack(self);
    if (own->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    Py_XDECREF(own->method);
    Py_XDECREF(own->form);
    PyObject_GC_Del(self);
}

static PyObject *
cede_coroutine_method_repr(PyObject *self)
{
    PyObject *name = PyObject_GetAttrString(((cede_coroutine_method *)self)->form, "__qualname__");
    if (name == NULL)
        return NULL;
    PyObject *text = PyUnicode_FromFormat("<function %U at %p>", name, self);
    Py_DECREF(name);
    return text;
}

/* What the type itself answers; the rest is the form's. */
static int
cede_coroutine_method_owns(PyObject *name)
{
    static const char *const names[] = {"__class__", "__get__", "__call__", "__reduce__", "__reduce_ex__", "__repr__", "__str__", NULL};
    for (int i = 0; names[i] != NULL; i++)
        if (PyUnicode_CompareWithASCIIString(name, names[i]) == 0)
            return 1;
    return 0;
}

static PyObject *
cede_coroutine_method_getattr(PyObject *self, PyObject *name)
{
    if (cede_coroutine_method_owns(name))
        return PyObject_GenericGetAttr(self, name);
    return PyObject_GetAttr(((cede_coroutine_method *)self)->form, name);
}

static int
cede_coroutine_method_setattr(PyObject *self, PyObject *name, PyObject *value)
{
    static const char *const fixed[] = {"__code__", "__defaults__", "__kwdefaults__", NULL};
    for (int i = 0; fixed[i] != NULL; i++)
        if (PyUnicode_CompareWithASCIIString(name, fixed[i]) == 0) {
            PyErr_Format(PyExc_AttributeError, "%U of %R cannot be changed: the function is compiled", name, self);
            return -1;
        }
    return PyObject_SetAttr(((cede_coroutine_method *)self)->form, name, value);
}

static PyObject *
cede_coroutine_method_class(PyObject *self, void *closure)
{
    (void)self;
    (void)closure;
    return Py_NewRef((PyObject *)&PyFunction_Type);
}

/* For those who look past the attribute's own way (`object.__getattribute__`), as pydoc does. */
static PyObject *
cede_coroutine_method_of_form(PyObject *self, void *name)
{
    return PyObject_GetAttrString(((cede_coroutine_method *)self)->form, (const char *)name);
}

/* As a function, it is pickled and copied by its name. */
static PyObject *
cede_coroutine_method_reduce(PyObject *self, PyObject *args)
{
    (void)args;
    return PyObject_GetAttrString(((cede_coroutine_method *)self)->form, "__qualname__");
}

#define CEDE_OF_FORM(name) {name, cede_coroutine_method_of_form, NULL, NULL, name}

static PyGetSetDef cede_coroutine_method_getset[] = {
    {"__class__", cede_coroutine_method_class, NULL, NULL, NULL},
    CEDE_OF_FORM("__annotations__"),
    CEDE_OF_FORM("__closure__"),
    CEDE_OF_FORM("__code__"),
    CEDE_OF_FORM("__defaults__"),
    CEDE_OF_FORM("__dict__"),
    CEDE_OF_FORM("__doc__"),
    CEDE_OF_FORM("__globals__"),
    CEDE_OF_FORM("__kwdefaults__"),
    CEDE_OF_FORM("__module__"),
    CEDE_OF_FORM("__name__"),
    CEDE_OF_FORM("__qualname__"),
    {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef cede_coroutine_method_methods[] = {
    {"__reduce__", cede_coroutine_method_reduce, METH_NOARGS, NULL},
    {"__reduce_ex__", cede_coroutine_method_reduce, METH_O, NULL},
    {NULL, NULL, 0, NULL}};

static PyTypeObject cede_coroutine_method_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "cede.core.task.coroutine_methods.coroutine_method",
    .tp_basicsize = sizeof(cede_coroutine_method),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR
                | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = cede_coroutine_method_dealloc,
    .tp_traverse = cede_coroutine_method_traverse,
    .tp_repr = cede_coroutine_method_repr,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(cede_coroutine_method, enter),
    .tp_getattro = cede_coroutine_method_getattr,
    .tp_setattro = cede_coroutine_method_setattr,
    .tp_descr_get = cede_coroutine_method_bind,
    .tp_weaklistoffset = offsetof(cede_coroutine_method, weakrefs),
    .tp_getset = cede_coroutine_method_getset,
    .tp_methods = cede_coroutine_method_methods,
};

/* A coroutine function that calls `method` and is described by `form`. */
static inline PyObject *
cede_new_coroutine_method(PyObject *method, PyObject *form)
{
    if (PyType_Ready(&cede_coroutine_method_type) < 0)
        return NULL;
    cede_coroutine_method *made = PyObject_GC_New(cede_coroutine_method, &cede_coroutine_method_type);
    if (made == NULL)
        return NULL;
    vectorcallfunc call = PyVectorcall_Function(method);
    made->enter = cede_coroutine_method_enter;
    made->call = call == NULL ? PyObject_Vectorcall : call;
    made->method = Py_NewRef(method);
    made->form = Py_NewRef(form);
    made->weakrefs = NULL;
    made->function = NULL;
    made->receiver = NULL;
    made->owner = NULL;
    cede_coroutine_method_shorten(made);
    PyObject_GC_Track((PyObject *)made);
    return (PyObject *)made;
}

/* Puts it in the place of a method of a compiled type, whose attributes cannot be set otherwise. */
static inline int
cede_put_in_type(PyObject *type, PyObject *name, PyObject *method)
{
    PyTypeObject *kind = (PyTypeObject *)type;
    if (PyType_HasFeature(kind, Py_TPFLAGS_HEAPTYPE))
        return PyObject_SetAttr(type, name, method);
    int failed = PyDict_SetItem(kind->tp_dict, name, method);
    PyType_Modified(kind);
    return failed;
}

#endif
