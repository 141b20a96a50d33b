/* The door that fair loops put before whatever is awaited (coop.py). One of it exists; each family of awaitables has its address.

   While no loop is fair an await pays one comparison with `loops`. */

#ifndef CEDE_FAIRNESS_H
#define CEDE_FAIRNESS_H

typedef struct {
    Py_ssize_t loops;     /* how many open loops are fair */
    int (*budget_exhausted)(void);   /* whether the running task has used up what it may do in this step */
    void (*record_forced_yield)(void);   /* it gives way now */
    void (*record_await)(void);  /* an await has ended */
} cede_door;

#endif
