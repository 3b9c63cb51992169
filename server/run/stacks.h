/*
 * Stacks of one reactor, each with the struct fiber that runs on it. They are mapped by the slab,
 * with a guard page below each. A stack that comes back is kept warm: the last one back is the next
 * one out. Beyond the pool's size a stack goes cold: all its pages are given back to the kernel and
 * only address space is kept. A slab whose stacks are all cold is unmapped, but for one.
 *
 * A sweep, about once a second while fibers run, gives back what has been touched below STACK_KEEP
 * on the stacks that have not run for a round: of warm ones and of parked fibers. A stack in steady
 * use keeps its depth, which it will need again, and an idle reactor is not woken.
 *
 * Private to run/. Thread: the reactor's own.
 */
#ifndef LUNA_RUN_STACKS_H
#define LUNA_RUN_STACKS_H

#include "base/clock.h"
#include "base/list.h"

struct fiber;
struct reactor;

#define STACK_KEEP  ((size_t)16 * 1024) /* bytes at the top that a resting stack keeps */
#define SWEEP_ROUND SEC(1)              /* until each stack has been looked at */

struct stacks {
    struct reactor *reactor;
    size_t stack_bytes; /* without the guard; a multiple of the page size */
    size_t page_bytes;
    size_t slab_stacks; /* stacks mapped at a time */
    size_t warm_max;
    size_t warm_count;
    size_t slab_count;
    struct list warm;  /* of struct fiber */
    struct list slabs; /* with a cold stack */
    struct list all;   /* slabs, in the order of the sweep */
    nsec_t round;      /* SWEEP_ROUND; tests shorten it */
    nsec_t sweep_at;   /* NSEC_NEVER: nothing has run since the last round */
    size_t swept;      /* slabs looked at in this round */
    bool dirty;        /* a fiber ran in this round, or must be looked at again */
};

void stacks_init(struct stacks *s, struct reactor *r, size_t stack_bytes, size_t max_stacks,
                 size_t warm_max);
void stacks_fini(struct stacks *s); /* all have come back */

/* NULL: nothing could be mapped. */
struct fiber *stacks_get(struct stacks *s);
void stacks_put(struct stacks *s, struct fiber *f);

/* Looks at some stacks; to be called when sweep_at has come. */
void stacks_sweep(struct stacks *s, nsec_t now);

#endif
