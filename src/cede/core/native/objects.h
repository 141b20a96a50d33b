/* What a compiled object costs: a pool of freed ones, a spare one to use again, a finalizer only where it tells something, a dictionary only
   where one is asked for; and which classes nobody else may make objects of. One idea a section, each with its reason. */

#ifndef CEDE_OBJECTS_H
#define CEDE_OBJECTS_H

#include <Python.h>

/* Objects that are born and die with each operation, kept for the next one.

   Allocating and freeing a small collectable object is a good part of what such an operation costs. Cython's own free lists
   serve only classes without a base, and must not be used for one with a finalizer: the interpreter marks a finalized object in its
   collector's header, and the next to live there would never be finalized.

   A pooled type's memory goes back to the pool in tp_free, untracked and with that header as good as new; tp_alloc hands it out zeroed, as
   PyType_GenericAlloc would. Both serve exactly one type: subtypes inherit the slots, and are passed on to the interpreter's functions.
   Only under the GIL. AddressSanitizer is told that what lies in a pool must not be touched; the pool is a queue then, and is kept half full, so
   that it takes long until memory is used again. -DCEDE_NO_POOLS leaves the pools out. */

#define CEDE_POOL_SIZE 1024

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define CEDE_POOL_LEAST (CEDE_POOL_SIZE / 2)
#else
#define CEDE_POOL_LEAST 1
#endif

typedef struct {
    PyTypeObject *type;
    int count;
    PyObject *kept[CEDE_POOL_SIZE];
} cede_pool;

static inline PyObject *
cede_pool_take(cede_pool *pool, PyTypeObject *type, Py_ssize_t items)
{
    if (type != pool->type || pool->count < CEDE_POOL_LEAST)
        return PyType_GenericAlloc(type, items);
#ifdef __SANITIZE_ADDRESS__
    PyObject *object = pool->kept[0];
    memmove(pool->kept, pool->kept + 1, (size_t)--pool->count * sizeof(PyObject *));
    ASAN_UNPOISON_MEMORY_REGION((uintptr_t *)object - 2, (size_t)type->tp_basicsize + 2 * sizeof(uintptr_t));
#else
    PyObject *object = pool->kept[--pool->count];
#endif
    memset((char *)object + sizeof(PyObject), 0, (size_t)type->tp_basicsize - sizeof(PyObject));
    PyObject_Init(object, type);
    PyObject_GC_Track(object);
    return object;
}

static inline void
cede_pool_give(cede_pool *pool, PyObject *object)
{
    if (Py_TYPE(object) != pool->type || pool->count == CEDE_POOL_SIZE) {
        PyObject_GC_Del(object);
        return;
    }
    if (PyObject_GC_IsTracked(object))
        PyObject_GC_UnTrack(object);
    /* The two words before a collectable object are the collector's. */
    ((uintptr_t *)object)[-1] = 0;
    ((uintptr_t *)object)[-2] = 0;
    pool->kept[pool->count++] = object;
#ifdef __SANITIZE_ADDRESS__
    ASAN_POISON_MEMORY_REGION((uintptr_t *)object - 2, (size_t)pool->type->tp_basicsize + 2 * sizeof(uintptr_t));
#endif
}

#if defined(Py_GIL_DISABLED) || defined(CEDE_NO_POOLS) || defined(Py_TRACE_REFS)
#define CEDE_POOL(name) \
    static inline int cede_pool_##name(PyObject *type) { return type == NULL; }
#else
/* Defines cede_pool_<name>(type), to be called once, when the module is imported. */
#define CEDE_POOL(name) \
    static cede_pool cede_pool_of_##name; \
    static inline PyObject *cede_take_##name(PyTypeObject *type, Py_ssize_t items) \
    { \
        return cede_pool_take(&cede_pool_of_##name, type, items); \
    } \
    static inline void cede_give_##name(void *object) \
    { \
        cede_pool_give(&cede_pool_of_##name, (PyObject *)object); \
    } \
    static inline int cede_pool_##name(PyObject *type) \
    { \
        cede_pool_of_##name.type = (PyTypeObject *)type; \
        ((PyTypeObject *)type)->tp_alloc = cede_take_##name; \
        ((PyTypeObject *)type)->tp_free = cede_give_##name; \
        return 0; \
    }
#endif

/* Operations that have ended, kept for the next call of the same method: one of a kind, in each module that includes this.

   A free list keeps memory; this keeps the object, so that making one is neither an allocation, nor a matter for the collector, nor a clearing
   of fields: a third of what an uncontended `await lock.acquire()` costs outside the interpreter's loop. One that somebody still holds is
   not used again. Only under the GIL, between two instructions of the interpreter. */

#define CEDE_SPARE_KINDS 3

#if defined(Py_GIL_DISABLED) || defined(CEDE_NO_POOLS) || defined(Py_TRACE_REFS) || defined(__SANITIZE_ADDRESS__)
#define CEDE_NO_SPARES
#endif

#ifndef CEDE_NO_SPARES
static PyObject *cede_spares[CEDE_SPARE_KINDS];
#endif

/* A spare one, or None. */
static inline PyObject *
cede_take_spare(int kind)
{
#ifndef CEDE_NO_SPARES
    PyObject *spare = cede_spares[kind];
    if (spare != NULL && Py_REFCNT(spare) == 1) {
        cede_spares[kind] = NULL;
        return spare;
    }
#endif
    Py_RETURN_NONE;
}

/* `operation` has ended, and holds nothing any more. */
static inline void
cede_keep_spare(int kind, PyObject *operation)
{
#ifndef CEDE_NO_SPARES
    if (cede_spares[kind] == NULL)
        cede_spares[kind] = Py_NewRef(operation);
#endif
}

/* A finalizer that is called only where it has something to say.

   The interpreter's way to a finalizer revives the object, makes a call and looks again whether it is to die: a noticeable part of the
   life of a future, and nearly all of them have nothing to report. So the deallocator of such a type asks first. An object that the
   collector finds in a cycle is finalized by the collector, which asks nobody; an instance of a Python subclass by its own type. Both
   come by here afterwards, marked as finalized, and the interpreter's function sees that. */

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

/* An instance dictionary that is made when it is needed.

   Cython's own `cdef dict __dict__` makes a dictionary with each object, which costs as much as the rest of a small object's
   life, and nearly no future or task is ever given an attribute. Here the dictionary's place is an ordinary field that starts as
   NULL, named to the interpreter as tp_dictoffset; generic attribute access fills it on first use, and Cython's traverse and
   clear functions know it as the field it is.

   To be called when the module is imported, before any type derives from the class: they inherit the offset. Each object must
   have cede_no_attributes() called on it as soon as it exists, in __cinit__, for Cython starts its fields as None.

   Cython gives no address of an object field, so the place is named by the field before it, which must be as wide as a pointer. */

static PyGetSetDef cede_dict_getset = {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL};

static inline int
cede_no_attributes(Py_ssize_t *before)
{
    PyObject **place = (PyObject **)(before + 1);
    PyObject *none = *place;
    *place = NULL;
    Py_XDECREF(none);
    return 0;
}

static inline int
cede_install_attributes(PyObject *type, PyObject *example, Py_ssize_t *before)
{
    PyObject **place = (PyObject **)(before + 1);
    if (*place != NULL) {
        PyErr_SetString(PyExc_SystemError, "the dictionary's place is not behind the field that names it");
        return -1;
    }
    PyTypeObject *kind = (PyTypeObject *)type;
    kind->tp_dictoffset = (char *)place - (char *)example;
    PyObject *descriptor = PyDescr_NewGetSet(kind, &cede_dict_getset);
    if (descriptor == NULL)
        return -1;
    int failed = PyDict_SetItemString(kind->tp_dict, "__dict__", descriptor);
    Py_DECREF(descriptor);
    PyType_Modified(kind);
    return failed;
}

/* Classes whose objects the runtime alone makes.

   An object of a compiled class that was made bare has fields that were never set, and its methods were not written for that. So what the
   runtime makes for itself has no door: `__new__` is taken out of such a class, and where all of its objects are made from C, through the
   class's tp_new, calling it is refused as well, and deriving from it. */

static int
cede_refuse_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    PyErr_Format(PyExc_TypeError, "cannot create '%.200s' instances: cede makes them itself", Py_TYPE(self)->tp_name);
    return -1;
}

/* To be called when every class that derives from `kind` is there. */
static inline int
cede_take_door(PyObject *kind, int altogether)
{
    if (!PyType_Check(kind) || PyType_HasFeature((PyTypeObject *)kind, Py_TPFLAGS_HEAPTYPE)) {
        PyErr_SetString(PyExc_TypeError, "take_door(): kind must be a compiled class");
        return -1;
    }
    PyTypeObject *type = (PyTypeObject *)kind;
    PyObject *entry = PyDict_GetItemString(type->tp_dict, "__new__");
    if (entry != NULL && PyDict_DelItemString(type->tp_dict, "__new__"))
        return -1;
    if (altogether) {
        type->tp_init = cede_refuse_init;
        type->tp_vectorcall = NULL; /* it makes one without a look at tp_init */
        type->tp_flags &= ~Py_TPFLAGS_BASETYPE;
    }
    PyType_Modified(type);
    return 0;
}

#endif
