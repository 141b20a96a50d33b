/* A finalizer that is called only where it has something to say.

   The interpreter's way to a finalizer revives the object, makes a call and looks again whether it is to die: a noticeable part of the
   life of a future, and nearly all of them have nothing to report. So the deallocator of such a type asks first. An object that the
   collector finds in a cycle is finalized by the collector, which asks nobody; an instance of a Python subclass by its own type. Both
   come by here afterwards, marked as finalized, and the interpreter's function sees that. */

#ifndef CEDE_FINALIZER_H
#define CEDE_FINALIZER_H

#include <Python.h>

typedef int (*cede_question)(PyObject *);

/* Defines cede_finalize_<name>(type, has_to_tell), to be called once, when the module is imported and before any type derives from it. */
#define CEDE_FINALIZER(name) \
    static destructor cede_dealloc_of_##name; \
    static cede_question cede_has_to_tell_##name; \
    static void cede_dealloc_##name(PyObject *object) \
    { \
        if (cede_has_to_tell_##name(object) && PyObject_CallFinalizerFromDealloc(object)) \
            return; \
        PyObject_GC_UnTrack(object); \
        Py_TRASHCAN_BEGIN(object, cede_dealloc_##name) \
        PyObject_GC_Track(object); \
        cede_dealloc_of_##name(object); \
        Py_TRASHCAN_END \
    } \
    static inline int cede_finalize_##name(PyObject *type, void *has_to_tell) \
    { \
        cede_has_to_tell_##name = (cede_question)has_to_tell; \
        cede_dealloc_of_##name = ((PyTypeObject *)type)->tp_dealloc; \
        ((PyTypeObject *)type)->tp_dealloc = cede_dealloc_##name; \
        return 0; \
    }

#endif
