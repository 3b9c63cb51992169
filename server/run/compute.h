/*
 * A pool of threads for CPU work above a few hundred microseconds, so that a reactor never waits
 * for arithmetic. Only the caller is suspended.
 */
#ifndef LUNA_RUN_COMPUTE_H
#define LUNA_RUN_COMPUTE_H

#include "base/clock.h"
#include "base/status.h"

struct ctx;
struct compute;

/* Polled by long computations: true when the caller has gone and the result is not wanted. */
struct compute_task;
bool compute_cancelled(const struct compute_task *t);

/* Runs on a pool thread. It may touch only what `arg` points at. */
typedef void (*compute_fn)(struct compute_task *t, void *arg);

/* threads 0: one for each core; max_queued 0: 1024. */
struct compute *compute_new(size_t threads, size_t max_queued);
void compute_free(struct compute *c); /* waits for what runs and what is queued; NULL: harmless */

/* The process's pool, set once at start, before the first compute_run. */
void compute_set_default(struct compute *c);

/*
 * Runs `fn(task, arg)` in the default pool. Suspends: once, until it has ended. When ctx is
 * cancelled or its deadline passes, an `fn` that has not begun never runs; for one that has,
 * compute_cancelled turns true and this still waits for it to notice and return, so that `arg` may
 * live in the caller's arena: `fn` must look at least every millisecond. Fails: OVERLOADED (the
 * queue is full), CANCELLED_BY_CALLER, DEADLINE_PASSED.
 */
enum status compute_run(struct ctx *ctx, compute_fn fn, void *arg) WARN_UNUSED;

/* Somebody who wants to hear how far a computation is. */
struct compute_watch {
    nsec_t every; /* above 0 */
    /* Called on the waiting fiber; may suspend it. Not OK: the computation is cancelled, and this
     * is what compute_run_watched fails with. */
    enum status (*tick)(void *arg);
    void *arg;
};

/* compute_run that calls `watch` (NULL: nobody) every now and then until `fn` has ended. */
enum status compute_run_watched(struct ctx *ctx, compute_fn fn, void *arg,
                                const struct compute_watch *watch) WARN_UNUSED;

/* Numbers that other threads may read at any time (relaxed). */
struct compute_stats {
    ATOMIC(uint64_t) done; /* functions that have returned */
    ATOMIC(size_t) queued; /* waiting for a thread */
    ATOMIC(size_t) running;
};
const struct compute_stats *compute_stats(const struct compute *c);

#endif
