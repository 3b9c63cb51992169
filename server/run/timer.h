/*
 * Timers of a reactor: a binary heap, armed in one uv_timer. Setting and stopping cost O(log n).
 * Callbacks run on the loop and must not suspend. Thread: the reactor's own.
 */
#ifndef LUNA_RUN_TIMER_H
#define LUNA_RUN_TIMER_H

#include "base/clock.h"

struct reactor;

struct timer {
    nsec_t at;      /* monotonic instant it fires */
    size_t slot;    /* place in the heap + 1; 0: not set */
    void (*fn)(struct timer *);
};

void timer_init(struct timer *t, void (*fn)(struct timer *));
void timer_set(struct reactor *r, struct timer *t, nsec_t at); /* sets or moves */
void timer_stop(struct reactor *r, struct timer *t);           /* harmless when not set */
static inline bool
timer_pending(const struct timer *t)
{
    return t->slot != 0;
}

#endif
