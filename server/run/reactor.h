/*
 * A reactor: one thread with a libuv loop, its timers, its fibers and what other layers hang on it
 * (Postgres connections, a Redis connection). Nothing on a reactor is shared or locked.
 *
 * One loop turn: run the inbox, run the runnable fibers, run the turn hooks (flush the pipelines),
 * then poll.
 */
#ifndef LUNA_RUN_REACTOR_H
#define LUNA_RUN_REACTOR_H

#include <stdatomic.h>
#include <uv.h>

#include "base/clock.h"
#include "base/list.h"
#include "run/inbox.h"

struct reactor;

struct reactor_options {
    int index;           /* its number among `reactors` */
    size_t max_fibers;
    size_t stack_bytes;
    size_t pooled_stacks; /* free stacks kept mapped; 0: 256 */
};

/* Numbers that other threads may read at any time (relaxed). */
struct reactor_stats {
    atomic_uint_fast64_t turns;
    atomic_uint_fast64_t wakeups;        /* times the inbox had to wake the loop */
    atomic_uint_fast64_t inbox_messages;
    atomic_uint_fast64_t fiber_switches;
    atomic_uint_fast64_t fibers_refused;
    atomic_size_t fibers_live;
    atomic_size_t stacks_mapped;
    atomic_size_t timers;
};

struct reactor *reactor_new(const struct reactor_options *opt);
void reactor_free(struct reactor *r);

/* Starts its thread. */
void reactor_start(struct reactor *r);

/* Asks it to end once no fiber is alive and the inbox is empty. Thread: any. */
void reactor_stop(struct reactor *r);

/* Waits for its thread. Thread: the one that started it. */
void reactor_join(struct reactor *r);

/* Runs it on the calling thread until reactor_stop: for tests and admin commands. */
void reactor_run(struct reactor *r);

/* Spawns `fn(arg)` as a fiber on a new reactor, runs it on the calling thread until that fiber has
 * ended, and frees the reactor: for admin commands and tests. */
struct ctx;
void reactor_run_main(void (*fn)(struct ctx *ctx, void *arg), void *arg);

struct reactor *reactor_current(void); /* of the calling thread; NULL elsewhere */
int reactor_index(const struct reactor *r);
uv_loop_t *reactor_loop(struct reactor *r);
const struct reactor_stats *reactor_stats(const struct reactor *r);

/* The instant at which this turn began: cheaper than clock_now, and good enough for deadlines. */
nsec_t reactor_now(const struct reactor *r);

/* Something to do once at the end of the turns in which it was asked for. */
struct turn_hook {
    struct list link;
    void (*fn)(struct turn_hook *);
};
void turn_hook_init(struct turn_hook *h, void (*fn)(struct turn_hook *));
void reactor_at_turn_end(struct reactor *r, struct turn_hook *h); /* asking twice counts once */
void turn_hook_cancel(struct turn_hook *h);

/* A place for each layer to keep its per-reactor object. */
enum reactor_slot { SLOT_DB, SLOT_CACHE, SLOT_RPC, SLOT_HTTP, SLOT_EDGE, SLOT_QUOTA, SLOT_COUNT };
void *reactor_slot(const struct reactor *r, enum reactor_slot s);
void reactor_set_slot(struct reactor *r, enum reactor_slot s, void *p);

#endif
