/* Many compiled modules in one shared object. Included by the C file that setup.py writes for each such object, which says what is in it:

   CEDE_OBJECT      the last name of the object, itself a module of two attributes
   CEDE_MODULES     {name, function} of each module inside; Cython wrote the functions
   CEDE_ELSEWHERE   {name, object} of each module in another object, where this is the one that is asked first

   `create(spec)` makes a module that is inside and does not run it, as `_imp.create_dynamic` does for one that has a file of its own. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

static const struct { const char *name; PyObject *(*init)(void); } cede_modules[] = {CEDE_MODULES {NULL, NULL}};
static const struct { const char *name; const char *object; } cede_elsewhere[] = {CEDE_ELSEWHERE {NULL, NULL}};

static PyObject *
cede_create(PyObject *self, PyObject *spec)
{
    (void)self;
    PyObject *name = PyObject_GetAttrString(spec, "name"), *made = NULL;
    const char *text = name == NULL ? NULL : PyUnicode_AsUTF8(name);
    if (text != NULL) {
        PyObject *(*init)(void) = NULL;
        for (int at = 0; cede_modules[at].name != NULL && init == NULL; at++)
            if (strcmp(cede_modules[at].name, text) == 0)
                init = cede_modules[at].init;
        if (init == NULL)
            PyErr_Format(PyExc_ImportError, "no module %R in this shared object", name);
        else {
            PyObject *definition = init(); /* borrowed: it is static */
            if (definition != NULL)
                made = PyModule_FromDefAndSpec((PyModuleDef *)definition, spec);
        }
    }
    Py_XDECREF(name);
    return made;
}

static int
cede_fill(PyObject *module)
{
    PyObject *places = PyDict_New(), *here = PyObject_GetAttrString(module, "__name__");
    int failed = places == NULL || here == NULL;
    for (int at = 0; cede_modules[at].name != NULL && !failed; at++)
        failed = PyDict_SetItemString(places, cede_modules[at].name, here);
    for (int at = 0; cede_elsewhere[at].name != NULL && !failed; at++) {
        PyObject *object = PyUnicode_FromString(cede_elsewhere[at].object);
        failed = object == NULL || PyDict_SetItemString(places, cede_elsewhere[at].name, object);
        Py_XDECREF(object);
    }
    if (!failed)
        failed = PyObject_SetAttrString(module, "places", places);
    Py_XDECREF(places);
    Py_XDECREF(here);
    return failed ? -1 : 0;
}

static PyMethodDef cede_methods[] = {{"create", cede_create, METH_O, NULL}, {NULL, NULL, 0, NULL}};
static PyModuleDef_Slot cede_slots[] = {{Py_mod_exec, (void *)cede_fill}, {0, NULL}};

#define CEDE_TEXT_(name) #name
#define CEDE_TEXT(name) CEDE_TEXT_(name)
#define CEDE_JOIN_(a, b) a##b
#define CEDE_JOIN(a, b) CEDE_JOIN_(a, b)

static PyModuleDef cede_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = CEDE_TEXT(CEDE_OBJECT),
    .m_methods = cede_methods,
    .m_slots = cede_slots,
};

PyMODINIT_FUNC
CEDE_JOIN(PyInit_, CEDE_OBJECT)(void)
{
    return PyModuleDef_Init(&cede_definition);
}
