/*
 * Durable filters: a model, a log of observations in Postgres, and a state that is always that of
 * Filter over the log in order of time, to the last bit.
 *
 * The log is the truth, and the filter's row says how many observations it holds. An append
 * computes the state behind the new observations from the state before them, and then inserts them
 * and moves the row on, from the number that it has computed from: if that has changed, somebody
 * else was faster, and it is done again behind a lock. The newest state is remembered by the
 * reactor that the filter belongs to and is kept in Redis (both may be stale, this one also lost:
 * the position tells), older ones as checkpoints in Postgres.
 *
 * All appends to one filter that a server receives meet on one reactor and go together: while some
 * are under way the next ones gather. Those of different filters share commits. So an append waits
 * for one round trip: its commit.
 *
 * Thread: the reactor of `ctx`. Memory: the context's arena.
 */
#ifndef LUNA_KALMAN_DURABLE_H
#define LUNA_KALMAN_DURABLE_H

#include "kalman/kalman_store.h"
#include "kalman/model.h"
#include "run/ctx.h"

#define DURABLE_MAX_APPEND 10000 /* observations in one call */
#define DURABLE_CHECKPOINT 512   /* observations between two checkpoints */

/* Another arithmetic or layout of states: a number that was not used before. States of other
 * formats are made anew from the log. */
#define DURABLE_FORMAT 2

struct reactor;

/* What a filter knows. All lists are empty before the first observation. */
struct durable_estimate {
    int64_t position; /* observations */
    double time;      /* of the newest */
    size_t series, states;
    double *signal, *signal_variances; /* series */
    double *means, *variances;         /* states, the model's noise left out; infinite: diffuse */
    double log_likelihood;
};

struct durable_observation {
    int64_t sequence; /* 0: to be given */
    double time;
    const double *values;
    size_t value_count;
};

struct durable_appended {
    int64_t position, duplicates;
    int64_t last_sequence; /* of the last observation of the request */
    struct durable_estimate estimate;
};

/* Is this a name? "" is not. Fails: BAD_FIELD "filter_id". */
enum status durable_check_id(struct ctx *ctx, const char *filter_id) WARN_UNUSED;

/* A model that a durable filter can have: all numbers given, the same at all steps. */
enum status durable_check_model(struct ctx *ctx, const struct model_spec *spec) WARN_UNUSED;

/* Makes one; `model` is what durable_read_model reads. Suspends: once. */
enum status durable_create(struct ctx *ctx, int64_t account_id, const char *filter_id,
                           struct str model, struct kalman_filter *ret) WARN_UNUSED;

/* The filter and what it knows. Suspends: may. Fails: FILTER_NOT_FOUND. */
enum status durable_get(struct ctx *ctx, int64_t account_id, const char *filter_id,
                        struct kalman_filter *ret,
                        struct durable_estimate *ret_estimate) WARN_UNUSED;

/* Appends all or none; OK means committed. Suspends: may. Fails: BAD_FIELD (paths as in
 * luna.v1.AppendRequest), FILTER_NOT_FOUND. */
enum status durable_append(struct ctx *ctx, int64_t account_id, const char *filter_id,
                           const struct durable_observation *observations, size_t n,
                           struct durable_appended *ret) WARN_UNUSED;

enum status durable_reset(struct ctx *ctx, int64_t account_id, const char *filter_id,
                          struct kalman_filter *ret) WARN_UNUSED;
enum status durable_delete(struct ctx *ctx, int64_t account_id, const char *filter_id) WARN_UNUSED;

/* Hears of changes of one filter. */
struct durable_watch;
struct durable_watch *durable_watch_new(struct ctx *ctx, int64_t account_id, const char *filter_id);
void durable_watch_free(struct durable_watch *w);
/* Until something may have changed, at most a few seconds. Suspends: once. */
enum status durable_watch_wait(struct durable_watch *w, struct ctx *ctx) WARN_UNUSED;

/* A serialized luna.v1.Model (kalman_convert_rpc.c), for the time of `ctx`. Its numbers were
 * checked when it was stored. */
enum status durable_read_model(struct ctx *ctx, struct str bytes,
                               struct model_spec *ret) WARN_UNUSED;

#endif
