/* Tracebacks of compiled code name the file that is installed.

   Cython writes down the name that a file had when it was compiled, relative to the project: "src/cede/core/task/task.py". Whoever prints such a
   traceback looks for that name below the current folder, and shows a line of another file where there is one. Where cede will be installed
   nobody knows at that time; so the code object that Cython makes for a traceback's entry gets its file name here, from the package's own.

   This header is included at the head of each generated file (setup.py), and stands in for the function by which such objects are made. What
   else has to stand in for something of the interpreter's stands below. */

#ifndef CEDE_PRELUDE_H
#define CEDE_PRELUDE_H

#ifndef PY_SSIZE_T_CLEAN
#define PY_SSIZE_T_CLEAN
#endif
#include <Python.h>
#include <string.h>

#define CEDE_BUILT_IN "src/cede/"

/* The folder of the package, with the separator at its end; NULL without an exception where that cannot be told. */
static inline PyObject *
cede_package_folder(void)
{
    PyObject *folder = NULL, *file = NULL;
    /* Borrowed. Not PyImport_GetModuleDict, which ends the process where a finalizer fails after the interpreter has let go of its modules. */
    PyObject *modules = PySys_GetObject("modules");
    PyObject *package = modules == NULL ? NULL : PyMapping_GetItemString(modules, "cede");
    if (package != NULL)
        file = PyObject_GetAttrString(package, "__file__");
    if (file != NULL && PyUnicode_Check(file)) {
        Py_ssize_t end = PyUnicode_GET_LENGTH(file);
        while (end > 0 && PyUnicode_READ_CHAR(file, end - 1) != '/' && PyUnicode_READ_CHAR(file, end - 1) != '\\')
            end--;
        if (end > 0)
            folder = PyUnicode_Substring(file, 0, end);
    }
    Py_XDECREF(file);
    Py_XDECREF(package);
    PyErr_Clear();
    return folder;
}

/* As PyCode_NewEmpty, which is called once for each line that ever was in a traceback. */
static inline PyCodeObject *
cede_code_of_line(const char *file, const char *function, int line)
{
    PyCodeObject *code = NULL;
    PyObject *folder = NULL, *whole = NULL, *bytes = NULL;
    if (strncmp(file, CEDE_BUILT_IN, sizeof(CEDE_BUILT_IN) - 1) == 0)
        folder = cede_package_folder();
    if (folder != NULL)
        whole = PyUnicode_FromFormat("%U%s", folder, file + sizeof(CEDE_BUILT_IN) - 1);
    if (whole != NULL)
        bytes = PyUnicode_EncodeFSDefault(whole);
    if (bytes == NULL)
        PyErr_Clear(); /* a name that cannot be had is no reason to lose the exception */
    code = PyCode_NewEmpty(bytes == NULL ? file : PyBytes_AS_STRING(bytes), function, line);
    Py_XDECREF(bytes);
    Py_XDECREF(whole);
    Py_XDECREF(folder);
    return code;
}

#define PyCode_NewEmpty cede_code_of_line

/* The trashcan of Python 3.11 and 3.12, without its price for what is not nested.

   A class whose objects may own one another in a long chain is deallocated through the interpreter's trashcan, which ends the recursion where
   it is 50 deep. It does so by three calls into the interpreter for each object, which an object that is alone pays as well, and in a class
   that derives from such a class twice. Here the first levels are counted in a variable, and what lies below goes to the trashcan. There is
   one count a module, for all threads: a thread that is in the middle of it when another one takes over makes that one ask the trashcan
   sooner, and so does a count that was left too high by a stack that nobody came back to.

   Later versions look at a counter themselves, or in one place for all classes. */

#if PY_VERSION_HEX < 0x030D0000 && defined(Py_TRASHCAN_BEGIN_CONDITION)

#define CEDE_SHALLOW 40

static int cede_dealloc_depth __attribute__((unused));

#undef Py_TRASHCAN_BEGIN
#undef Py_TRASHCAN_END

#define Py_TRASHCAN_BEGIN(op, dealloc) \
    cede_dealloc_depth++; \
    Py_TRASHCAN_BEGIN_CONDITION((op), cede_dealloc_depth > CEDE_SHALLOW && _PyTrash_cond(_PyObject_CAST(op), (destructor)(dealloc)))

/* Where the object was put into the trashcan, the interpreter's macro leaves its block by `break`, and comes out here. */
#define Py_TRASHCAN_END \
        if (_tstate) \
            _PyTrash_end(_tstate); \
    } while (0); \
    cede_dealloc_depth--;

#endif

#endif
