/*
 * Stacks of one reactor, each with the struct fiber that runs on it. They are mapped by the slab,
 * with a guard page below each. A stack that comes back is kept warm (the last one back is the next
 * one out); when it has been used deeper than STACK_KEEP, the pages below are given back to the
 * kernel. Beyond the pool's size a stack goes cold: all its pages are given back and only address
 * space is kept. A slab whose stacks are all cold is unmapped, but for one.
 *
 * Private to run/. Thread: the reactor's own.
 */
#ifndef LUNA_RUN_STACKS_H
#define LUNA_RUN_STACKS_H

#include "base/list.h"

struct fiber;
struct reactor;

#define STACK_KEEP ((size_t)16 * 1024) /* bytes at the top that a warm stack keeps */

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
};

void stacks_init(struct stacks *s, struct reactor *r, size_t stack_bytes, size_t max_stacks,
                 size_t warm_max);
void stacks_fini(struct stacks *s); /* all have come back */

/* NULL: nothing could be mapped. */
struct fiber *stacks_get(struct stacks *s);
void stacks_put(struct stacks *s, struct fiber *f);

#endif
