/* The door that fair loops put before whatever is awaited (coop.py). One of it exists; each family of awaitables has its address.

   While no loop is fair an await pays one comparison with `loops`. */

#ifndef CEDE_FAIRNESS_H
#define CEDE_FAIRNESS_H

typedef struct {
    Py_ssize_t loops;     /* how many open loops are fair */
    int (*spent)(void);   /* whether the running task has used up what it may do in this step */
    void (*told)(void);   /* it gives way now */
    void (*ended)(void);  /* an await has ended */
} cede_door;

#endif
