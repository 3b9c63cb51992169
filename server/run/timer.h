/*
 * Timers of a reactor: a heap whose first instant is armed in one timerfd, so that the resolution
 * is the kernel's (tens of microseconds) and not libuv's millisecond. A timer never fires early; it
 * fires at the beginning of the first turn after its instant. Setting and stopping cost O(log n)
 * and no system call; the timerfd is set at most once a turn, and only to an earlier instant.
 *
 * Callbacks run on the loop in the order of their instants and must not suspend. A timer that a
 * callback sets to an instant already past fires in the next turn.
 *
 * Thread: the reactor's own.
 */
#ifndef LUNA_RUN_TIMER_H
#define LUNA_RUN_TIMER_H

#include "base/clock.h"

struct reactor;

struct timer {
    nsec_t at;   /* monotonic instant it fires */
    size_t slot; /* place in the heap + 1; 0: not set */
    void (*fn)(struct timer *);
};

void timer_init(struct timer *t, void (*fn)(struct timer *));
/* Sets or moves it; NSEC_NEVER: it never fires (but is pending). */
void timer_set(struct reactor *r, struct timer *t, nsec_t at);
void timer_stop(struct reactor *r, struct timer *t); /* harmless when not set */
static inline bool
timer_pending(const struct timer *t)
{
    return t->slot != 0;
}

#endif
