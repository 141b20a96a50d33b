/* Methods that are called with a few plain arguments nearly always, and are part of each operation's price: `call_soon`, `create_task`.

   Cython's own wrapper parses every call in full, and makes a dictionary for `**options` although nearly none has options. So the
   method's entry in the type's dictionary is replaced by one that serves the plain call itself and hands everything else to the
   wrapper, which stays the one place where arguments are checked and refused. */

#ifndef CEDE_METHODS_H
#define CEDE_METHODS_H

#include <Python.h>
#include <structmember.h>

/* The general method, called on `self` with a copy of the arguments. */
static PyObject *
cede_call_general(PyObject *general, PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *few[9];
    PyObject **all = few;
    Py_ssize_t given = count + (names == NULL ? 0 : PyTuple_GET_SIZE(names));
    if (given > 8) {
        all = PyMem_Malloc((size_t)(given + 1) * sizeof(PyObject *));
        if (all == NULL)
            return PyErr_NoMemory();
    }
    all[0] = self;
    if (given > 0)
        memcpy(all + 1, args, (size_t)given * sizeof(PyObject *));
    PyObject *result = PyObject_Vectorcall(general, all, (size_t)(count + 1), names);
    if (all != few)
        PyMem_Free(all);
    return result;
}

/* To be called when the module is imported, before a subclass is made that might copy the slot. */
static inline int
cede_replace_method(PyObject *kind, PyMethodDef *definition, PyObject **general)
{
    PyTypeObject *type = (PyTypeObject *)kind;
    PyObject *before = PyDict_GetItemString(type->tp_dict, definition->ml_name);
    if (before == NULL || !Py_IS_TYPE(before, &PyMethodDescr_Type)) {
        PyErr_Format(PyExc_SystemError, "%s.%s is no method that could be replaced", type->tp_name, definition->ml_name);
        return -1;
    }
    *general = Py_NewRef(before);
    definition->ml_doc = ((PyMethodDescrObject *)before)->d_method->ml_doc;
    PyObject *method = PyDescr_NewMethod(type, definition);
    if (method == NULL)
        return -1;
    int failed = PyDict_SetItemString(type->tp_dict, definition->ml_name, method);
    Py_DECREF(method);
    PyType_Modified(type);
    return failed;
}

/* What a keyword argument that may be left out is given as: 1 where `names` holds nothing but that one name. Names in calls are interned. */
static inline int
cede_only_name(PyObject *names, PyObject *name)
{
    return PyTuple_GET_SIZE(names) == 1 && PyTuple_GET_ITEM(names, 0) == name;
}

/* The positional arguments behind the first `skipped`, as a tuple. */
static inline PyObject *
cede_rest(PyObject *const *args, Py_ssize_t count, Py_ssize_t skipped)
{
    PyObject *rest = PyTuple_New(count - skipped);
    if (rest != NULL)
        for (Py_ssize_t i = skipped; i < count; i++)
            PyTuple_SET_ITEM(rest, i - skipped, Py_NewRef(args[i]));
    return rest;
}

/* A function that calls the running loop's method of the same name, with the same arguments: what remains of a module's function. */
static PyObject *cede_running_loop;
static PyObject *cede_name_of_method;

static PyObject *
cede_on_running_loop(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    (void)module;
    PyObject *few[9];
    Py_ssize_t given = count + (names == NULL ? 0 : PyTuple_GET_SIZE(names));
    PyObject *loop = PyObject_CallNoArgs(cede_running_loop);
    if (loop == NULL)
        return NULL;
    PyObject *result = NULL;
    if (given <= 8) {
        few[0] = loop;
        memcpy(few + 1, args, (size_t)given * sizeof(PyObject *));
        result = PyObject_VectorcallMethod(cede_name_of_method, few, (size_t)(count + 1), names);
    }
    else {
        PyObject *method = PyObject_GetAttr(loop, cede_name_of_method);
        if (method != NULL)
            result = PyObject_Vectorcall(method, args, (size_t)count, names);
        Py_XDECREF(method);
    }
    Py_DECREF(loop);
    return result;
}

static PyMethodDef cede_function_of_loop = {
    NULL, (PyCFunction)(void (*)(void))cede_on_running_loop, METH_FASTCALL | METH_KEYWORDS, NULL};

/* The function in place of `general`, which lends it its name and its text; one a module. */
static inline PyObject *
cede_loop_function(PyObject *general, PyObject *running_loop, PyObject *module)
{
    PyMethodDef *before = ((PyCFunctionObject *)general)->m_ml;
    cede_function_of_loop.ml_name = before->ml_name;
    cede_function_of_loop.ml_doc = before->ml_doc;
    cede_running_loop = Py_NewRef(running_loop);
    cede_name_of_method = PyUnicode_InternFromString(before->ml_name);
    if (cede_name_of_method == NULL)
        return NULL;
    return PyCFunction_NewEx(&cede_function_of_loop, NULL, module);
}

typedef PyObject *(*cede_quick_function)(PyObject *self, PyObject *first, PyObject *second, PyObject *rest, PyObject *context);

/* Defines cede_install_<method>(type, quick): a method (first[, second], *rest, context=None), with `leading` of them named. */
#define CEDE_SCHEDULING_METHOD(method, leading) \
    static PyObject *cede_general_##method; \
    static PyObject *cede_context_of_##method; \
    static cede_quick_function cede_quick_##method; \
    static PyObject *cede_enter_##method(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) \
    { \
        PyObject *context = Py_None; \
        if (count < leading || (names != NULL && !cede_only_name(names, cede_context_of_##method))) \
            return cede_call_general(cede_general_##method, self, args, count, names); \
        if (names != NULL) \
            context = args[count]; \
        PyObject *rest = cede_rest(args, count, leading); \
        if (rest == NULL) \
            return NULL; \
        PyObject *result = cede_quick_##method(self, args[0], args[leading - 1], rest, context); \
        Py_DECREF(rest); \
        return result; \
    } \
    static PyMethodDef cede_method_##method = { \
        #method, (PyCFunction)(void (*)(void))cede_enter_##method, METH_FASTCALL | METH_KEYWORDS, NULL}; \
    static inline int cede_install_##method(PyObject *type, void *quick) \
    { \
        cede_quick_##method = (cede_quick_function)quick; \
        cede_context_of_##method = PyUnicode_InternFromString("context"); \
        if (cede_context_of_##method == NULL) \
            return -1; \
        return cede_replace_method(type, &cede_method_##method, &cede_general_##method); \
    }

typedef PyObject *(*cede_create_function)(PyObject *self, PyObject *coro, PyObject *name, PyObject *context);

/* Defines cede_install_<id>(type, quick): a method (coro, *, name=None, context=None, **options). */
#define CEDE_CREATING_METHOD_AS(id, method) \
    static PyObject *cede_general_##id; \
    static PyObject *cede_name_name, *cede_name_context; \
    static cede_create_function cede_quick_##id; \
    static PyObject *cede_enter_##id(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) \
    { \
        PyObject *name = Py_None, *context = Py_None; \
        if (count != 1) \
            goto general; \
        if (names != NULL) \
            for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) { \
                if (PyTuple_GET_ITEM(names, i) == cede_name_name) \
                    name = args[count + i]; \
                else if (PyTuple_GET_ITEM(names, i) == cede_name_context) \
                    context = args[count + i]; \
                else \
                    goto general; \
            } \
        return cede_quick_##id(self, args[0], name, context); \
    general: \
        return cede_call_general(cede_general_##id, self, args, count, names); \
    } \
    static PyMethodDef cede_method_##id = { \
        #method, (PyCFunction)(void (*)(void))cede_enter_##id, METH_FASTCALL | METH_KEYWORDS, NULL}; \
    static inline int cede_install_##id(PyObject *type, void *quick) \
    { \
        cede_quick_##id = (cede_create_function)quick; \
        cede_name_name = PyUnicode_InternFromString("name"); \
        cede_name_context = PyUnicode_InternFromString("context"); \
        if (cede_name_name == NULL || cede_name_context == NULL) \
            return -1; \
        return cede_replace_method(type, &cede_method_##id, &cede_general_##id); \
    }

/* The same where no other class of the module has a method of that name. */
#define CEDE_CREATING_METHOD(method) CEDE_CREATING_METHOD_AS(method, method)

/* A method in C that is a coroutine function to whoever asks.

   A method of a compiled class that returns an awaitable has no code object and takes no attributes, so `inspect` and `asyncio` say that
   it is no coroutine function, and who believes them calls it, and drops what it returns. An object of this type stands in the method's
   place: a call goes straight on to the method, and every question is answered by `form`, an `async def` function of the same
   parameters, which never runs. The interpreter calls it without a bound method in between, as it does Python's functions.

   The interpreter has short ways to call a method of a compiled class, and none to call this. So the C function behind the method is called
   straight away wherever the arguments are plainly right; all others go to the method, which knows what to say of them. */

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
