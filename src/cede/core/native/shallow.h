/* The trashcan of Python 3.11 and 3.12, without its price for what is not nested.

   A class whose objects may own one another in a long chain is deallocated through the interpreter's trashcan, which ends the recursion where
   it is 50 deep. It does so by three calls into the interpreter for each object, which an object that is alone pays as well, and in a class
   that derives from such a class twice. Here the first levels are counted in a variable, and what lies below goes to the trashcan. There is
   one count a module, for all threads: a thread that is in the middle of it when another one takes over makes that one ask the trashcan
   sooner, and so does a count that was left too high by a stack that nobody came back to.

   Later versions look at a counter themselves, or in one place for all classes. */

#ifndef CEDE_SHALLOW_H
#define CEDE_SHALLOW_H

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
