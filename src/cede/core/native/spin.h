/* Waiting for another thread of this process without going to sleep.

   To put a thread to sleep and to wake it takes the system longer, on both sides, than a short job on a worker thread does. So whoever expects
   an answer within microseconds looks out for it for a moment, without the interpreter lock, and sleeps only then.

   A thread that is woken while its waker still holds the interpreter lock would go to sleep all the same, on the lock. So both sides
   say when they have let go of it (`away`, `released`), and wait for that, a few microseconds at most. These are hints: nothing but time is lost
   where they are wrong, and they live in an object of their own, which refers to nothing.

   Where the other thread gets no CPU meanwhile, looking out for it is in vain and keeps others from theirs: so each time that it was, the next few
   times are left out, twice as many as before, and one that was not makes up for all of them. */

#ifndef CEDE_SPIN_H
#define CEDE_SPIN_H

#include <Python.h>
#include <pythread.h>
#include <stdint.h>
#include <time.h>

enum { CEDE_SPINNING = 0, CEDE_SLEEPING = 1, CEDE_ROUSED = 2 };

/* How long one waits for the other to let go of the interpreter lock. */
#define CEDE_LETTING_GO 5000

#define CEDE_MOST_LEFT_OUT 1024

/* How often looking out was in vain lately: how many times are to be left out after the next such time, and how many still are. */
typedef struct {
    int step;
    int left;
} cede_backoff;

static inline int
cede_may_spin(cede_backoff *backoff)
{
    if (backoff->left <= 0) /* below: two threads that share it have counted at once */
        return 1;
    backoff->left--;
    return 0;
}

static inline void
cede_has_spun(cede_backoff *backoff, int came)
{
    if (came)
        backoff->step = 0;
    else if (backoff->step < CEDE_MOST_LEFT_OUT)
        backoff->step = backoff->step == 0 ? 1 : 2 * backoff->step;
    backoff->left = backoff->step;
}

static inline int64_t
cede_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline void
cede_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Whether *flag has become other than `value` within so many nanoseconds. */
static inline int
cede_changes(int *flag, int value, int64_t within)
{
    int64_t until = cede_nanoseconds() + within;
    do
        for (int i = 0; i < 16; i++) {
            if (__atomic_load_n(flag, __ATOMIC_ACQUIRE) != value)
                return 1;
            cede_relax();
        }
    while (cede_nanoseconds() < until);
    return 0;
}

/* The loop's side: whether something was posted within so many nanoseconds. */
static inline int
cede_spin_for_post(int *posted, int *away, int *released, int64_t within, cede_backoff *backoff)
{
    int came;
    if (!cede_may_spin(backoff))
        return 0;
    __atomic_store_n(away, 1, __ATOMIC_RELEASE);
    came = cede_changes(posted, 0, within);
    if (came)
        cede_changes(released, 0, CEDE_LETTING_GO);
    __atomic_store_n(away, 0, __ATOMIC_RELEASE);
    cede_has_spun(backoff, came);
    return came;
}

/* The side of a thread that posts without a pause: until the loop has taken the posts, for so many nanoseconds. */
static inline void
cede_spin_until_taken(int *posted, int64_t within, cede_backoff *backoff)
{
    if (cede_may_spin(backoff))
        cede_has_spun(backoff, cede_changes(posted, 1, within));
}

/* The worker's side: returns when it was roused. Spins for so many nanoseconds, then sleeps. */
static inline void
cede_park(int *state, PyThread_type_lock parker, int *away, int *released, int64_t spin, cede_backoff *backoff)
{
    int spinning = CEDE_SPINNING;
    __atomic_store_n(released, 1, __ATOMIC_RELEASE);
    if (spin > 0 && cede_may_spin(backoff))
        cede_has_spun(backoff, cede_changes(state, CEDE_SPINNING, spin));
    if (__atomic_compare_exchange_n(state, &spinning, CEDE_SLEEPING, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        PyThread_acquire_lock(parker, WAIT_LOCK);
    else
        cede_changes(away, 0, CEDE_LETTING_GO);
}

/* The other half, under the interpreter lock; once for each rest. */
static inline void
cede_unpark(int *state, PyThread_type_lock parker)
{
    if (__atomic_exchange_n(state, CEDE_ROUSED, __ATOMIC_ACQ_REL) == CEDE_SLEEPING)
        PyThread_release_lock(parker);
}

#endif
