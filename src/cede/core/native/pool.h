/* Objects that are born and die with each operation, kept for the next one.

   Allocating and freeing a small collectable object is a good part of what such an operation costs. Cython's own free lists
   serve only classes without a base, and must not be used for one with a finalizer: the interpreter marks a finalized object in its
   collector's header, and the next to live there would never be finalized.

   A pooled type's memory goes back to the pool in tp_free, untracked and with that header as good as new; tp_alloc hands it out zeroed, as
   PyType_GenericAlloc would. Both serve exactly one type: subtypes inherit the slots, and are passed on to the interpreter's functions.
   Only under the GIL. AddressSanitizer is told that what lies in a pool must not be touched; the pool is a queue then, and is kept half full, so
   that it takes long until memory is used again. -DCEDE_NO_POOLS leaves the pools out. */

#ifndef CEDE_POOL_H
#define CEDE_POOL_H

#include <Python.h>

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

#endif
