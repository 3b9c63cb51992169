/*
 * A reactor: one thread with a libuv loop, its timers, its fibers and what other layers hang on it
 * (Postgres connections, a Redis connection). Nothing on a reactor is shared or locked.
 *
 * One loop turn: run the inbox and the timers that are due, run the runnable fibers, run the turn
 * hooks (flush the pipelines; what they make runnable runs as well), then poll. A turn runs at most
 * 256 times a fiber: those that keep waking each other do not keep the loop from its events.
 */
#ifndef LUNA_RUN_REACTOR_H
#define LUNA_RUN_REACTOR_H

#ifndef __cplusplus
#include <stdatomic.h>
#endif
#include <uv.h>

#include "base/clock.h"
#include "base/list.h"
#include "run/inbox.h"

struct reactor;

struct reactor_options {
    int index;            /* its number among `reactors` */
    size_t max_fibers;    /* 0: 12 000 */
    size_t stack_bytes;   /* address space of a fiber's stack, at least 32 KiB; 0: 128 KiB */
    size_t pooled_stacks; /* free stacks that keep their memory (up to 16 KiB each); 0: 256 */
};

/* Numbers that other threads may read at any time (relaxed). */
struct reactor_stats {
    ATOMIC(uint64_t) turns;
    ATOMIC(uint64_t) wakeups; /* times the inbox had to wake the loop */
    ATOMIC(uint64_t) inbox_messages;
    ATOMIC(uint64_t) fiber_switches;
    ATOMIC(uint64_t) fibers_refused;
    ATOMIC(size_t) fibers_live;
    ATOMIC(size_t) stacks_mapped;
    ATOMIC(size_t) timers;
};

/* NULL options: the defaults. Aborts when the process has no memory or descriptors left. */
struct reactor *reactor_new(const struct reactor_options *opt);

/* Of one that has ended or was never started. Whoever has sent to it must have stopped. */
void reactor_free(struct reactor *r);

/* Starts its thread ("reactor/<index>"), in which all signals but the synchronous ones are blocked.
 */
void reactor_start(struct reactor *r);

/* Asks it to end once no fiber is alive and the inbox is empty: the stop hooks run, the loop goes
 * on until all handles are closed, then the thread ends. Thread: any, also before reactor_start;
 * asking again is harmless until it has ended. */
void reactor_stop(struct reactor *r);

/* True once it was asked to stop: for loops that would otherwise start work anew. Thread: its own.
 */
bool reactor_stopping(const struct reactor *r);

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

/* The instant at which this turn, or the loop's callbacks behind its poll, began: cheaper than
 * clock_now and good enough for deadlines. Thread: its own. */
nsec_t reactor_now(const struct reactor *r);

/* Something to do once at the end of the turns in which it was asked for. */
struct turn_hook {
    struct list link;
    void (*fn)(struct turn_hook *);
};
void turn_hook_init(struct turn_hook *h, void (*fn)(struct turn_hook *));
void reactor_at_turn_end(struct reactor *r, struct turn_hook *h); /* asking twice counts once */
void turn_hook_cancel(struct turn_hook *h);

/* Something to do once when a stopping reactor's last fiber has ended: to close what a layer has on
 * the loop. It must not suspend. The last registered runs first. A layer that leaves a handle open
 * keeps the reactor from ending. */
struct stop_hook {
    struct list link; /* private */
    void (*fn)(struct stop_hook *);
};
void reactor_at_stop(struct reactor *r, struct stop_hook *h);

/* A place for each layer to keep its per-reactor object. */
enum reactor_slot {
    SLOT_DB,
    SLOT_CACHE,
    SLOT_RPC,
    SLOT_HTTP,
    SLOT_EDGE,
    SLOT_QUOTA,
    SLOT_KALMAN,
    SLOT_COUNTS,
    SLOT_COUNT
};
void *reactor_slot(const struct reactor *r, enum reactor_slot s);
void reactor_set_slot(struct reactor *r, enum reactor_slot s, void *p);

#endif
