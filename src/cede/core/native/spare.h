/* Operations that have ended, kept for the next call of the same method: one of a kind, in each module that includes this.

   A free list keeps memory; this keeps the object, so that making one is neither an allocation, nor a matter for the collector, nor a clearing
   of fields: a third of what an uncontended `await lock.acquire()` costs outside the interpreter's loop. One that somebody still holds is
   not used again. Only under the GIL, between two instructions of the interpreter. */

#ifndef CEDE_SPARE_H
#define CEDE_SPARE_H

#include <Python.h>

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

#endif
