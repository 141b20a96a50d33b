/* The timers' heap, in one array of plain numbers.

   A heap of objects follows a pointer for each comparison. Here an entry holds its time and its age beside the pointer, and four children
   a parent instead of two: half the levels, and the children of one parent are neighbours. Each entry also knows where its timer
   keeps its place, so a move writes it without a look into the object.

   The array owns a reference to each timer. The collector is told of them by cede_heap_visit, or a loop that is dropped with timers
   pending would never be found. */

#ifndef CEDE_HEAP_H
#define CEDE_HEAP_H

#include <Python.h>

typedef struct {
    double when;
    long long number;
    PyObject *timer;
    Py_ssize_t *place; /* where the timer keeps its index */
} cede_entry;

typedef struct {
    cede_entry *entries;
    Py_ssize_t count;
    Py_ssize_t room;
} cede_heap;

static inline int
cede_sooner(const cede_entry *one, const cede_entry *other)
{
    return one->when < other->when || (one->when == other->when && one->number < other->number);
}

static inline void
cede_heap_rise(cede_entry *entries, Py_ssize_t at, cede_entry entry)
{
    while (at > 0) {
        Py_ssize_t above = (at - 1) >> 2;
        if (!cede_sooner(&entry, &entries[above]))
            break;
        entries[at] = entries[above];
        *entries[at].place = at;
        at = above;
    }
    entries[at] = entry;
    *entry.place = at;
}

static inline void
cede_heap_sink(cede_entry *entries, Py_ssize_t count, Py_ssize_t at, cede_entry entry)
{
    for (;;) {
        Py_ssize_t child = 4 * at + 1;
        if (child >= count)
            break;
        Py_ssize_t last = child + 4 < count ? child + 4 : count;
        for (Py_ssize_t other = child + 1; other < last; other++)
            if (cede_sooner(&entries[other], &entries[child]))
                child = other;
        if (!cede_sooner(&entries[child], &entry))
            break;
        entries[at] = entries[child];
        *entries[at].place = at;
        at = child;
    }
    entries[at] = entry;
    *entry.place = at;
}

static inline int
cede_heap_push(cede_heap *heap, double when, long long number, PyObject *timer, Py_ssize_t *place)
{
    if (heap->count == heap->room) {
        Py_ssize_t room = heap->room == 0 ? 64 : 2 * heap->room;
        cede_entry *entries = PyMem_Realloc(heap->entries, (size_t)room * sizeof(cede_entry));
        if (entries == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        heap->entries = entries;
        heap->room = room;
    }
    cede_entry entry = {when, number, Py_NewRef(timer), place};
    cede_heap_rise(heap->entries, heap->count++, entry);
    return 0;
}

/* Removes the entry at `at` and returns its timer, with the heap's reference. */
static inline PyObject *
cede_heap_remove(cede_heap *heap, Py_ssize_t at)
{
    cede_entry gone = heap->entries[at];
    cede_entry last = heap->entries[--heap->count];
    *gone.place = -1;
    if (at < heap->count) {
        /* The last one fills the gap: it may belong above as well as below. */
        if (at > 0 && cede_sooner(&last, &heap->entries[(at - 1) >> 2]))
            cede_heap_rise(heap->entries, at, last);
        else
            cede_heap_sink(heap->entries, heap->count, at, last);
    }
    if (heap->room > 1024 && heap->count < heap->room / 8) {
        /* A burst is over: what it took is given back. Failing to shrink leaves all as it was. */
        cede_entry *entries = PyMem_Realloc(heap->entries, (size_t)(heap->room / 4) * sizeof(cede_entry));
        if (entries != NULL) {
            heap->entries = entries;
            heap->room /= 4;
        }
    }
    return gone.timer;
}

static inline PyObject *
cede_heap_list(cede_heap *heap)
{
    /* To make a list may call the collector, and so finalizers, which may set a timer or cancel one. */
    for (;;) {
        Py_ssize_t count = heap->count;
        PyObject *list = PyList_New(count);
        if (list == NULL)
            return NULL;
        if (count == heap->count) {
            for (Py_ssize_t i = 0; i < count; i++)
                PyList_SET_ITEM(list, i, Py_NewRef(heap->entries[i].timer));
            return list;
        }
        Py_DECREF(list);
    }
}

/* The heap is empty before the first reference goes: what a timer drags along may call back. */
static inline void
cede_heap_drop(cede_heap *heap)
{
    cede_heap all = *heap;
    memset(heap, 0, sizeof(*heap));
    for (Py_ssize_t i = 0; i < all.count; i++)
        *all.entries[i].place = -1;
    for (Py_ssize_t i = 0; i < all.count; i++)
        Py_DECREF(all.entries[i].timer);
    PyMem_Free(all.entries);
}

/* For the collector: what Cython's own functions do for the type, and the array. */
static Py_ssize_t cede_heap_offset;
static traverseproc cede_heap_base_traverse;
static inquiry cede_heap_base_clear;

static int
cede_heap_visit(PyObject *owner, visitproc visit, void *arg)
{
    cede_heap *heap = (cede_heap *)((char *)owner + cede_heap_offset);
    for (Py_ssize_t i = 0; i < heap->count; i++)
        Py_VISIT(heap->entries[i].timer);
    return cede_heap_base_traverse == NULL ? 0 : cede_heap_base_traverse(owner, visit, arg);
}

static int
cede_heap_clear(PyObject *owner)
{
    cede_heap_drop((cede_heap *)((char *)owner + cede_heap_offset));
    return cede_heap_base_clear == NULL ? 0 : cede_heap_base_clear(owner);
}

static inline int
cede_heap_install(PyObject *type, PyObject *example, cede_heap *heap)
{
    PyTypeObject *kind = (PyTypeObject *)type;
    cede_heap_offset = (char *)heap - (char *)example;
    cede_heap_base_traverse = kind->tp_traverse;
    cede_heap_base_clear = kind->tp_clear;
    kind->tp_traverse = cede_heap_visit;
    kind->tp_clear = cede_heap_clear;
    return 0;
}

#endif
