/* Methods that are called with a few plain arguments nearly always, and are part of each operation's price: `call_soon`, `create_task`.

   Cython's own wrapper parses every call in full, and makes a dictionary for `**options` although nearly none has options. So the
   method's entry in the type's dictionary is replaced by one that serves the plain call itself and hands everything else to the
   wrapper, which stays the one place where arguments are checked and refused. */

#ifndef CEDE_METHODS_H
#define CEDE_METHODS_H

#include <Python.h>

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

#endif
