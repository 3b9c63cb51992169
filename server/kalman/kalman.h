/*
 * Filtering of series: what a request may hold, where the work runs, and what can go wrong.
 * The arithmetic is in local_level.h.
 *
 * Thread: the reactor of `ctx`.
 */
#ifndef LUNA_KALMAN_KALMAN_H
#define LUNA_KALMAN_KALMAN_H

#include "run/ctx.h"

struct rpc_service;

struct reactor;
struct db_sql;

extern const struct rpc_service kalman_service;
extern const struct db_sql kalman_sql; /* what durable filters ask of Postgres */

/* Each reactor, behind its Postgres and Redis; and before they go. `all`: the server's `count`
 * reactors, which run before the first call; borrowed. */
void kalman_attach(struct reactor *r, struct reactor *const *all, size_t count);
void kalman_detach(struct reactor *r);

#define KALMAN_MAX_VALUES 10000000

/* A number that may be left out. */
struct kalman_maybe {
    bool given;
    double value;
};

struct kalman_filter_request {
    const double *values; /* NaN: missing; must outlive the call */
    size_t n;
    struct kalman_maybe observation_variance; /* not given: estimated */
    struct kalman_maybe level_variance;
    bool initial_given; /* otherwise the start is exact diffuse */
    double initial_mean;
    double initial_variance;
    bool want_variances;
    bool want_innovations;
    bool want_log_likelihood;
    bool omit_diffuse_constant;
};

/* Lists of `n` in the context's arena; NULL when not asked for. No NaN anywhere. */
struct kalman_filter_result {
    double *levels;
    double *variances;
    double *innovations;
    double *innovation_variances;
    double log_likelihood;
    double observation_variance; /* as given or as estimated */
    double level_variance;
    bool estimated;
};

/* OK when `account_id` is 0, the caller's own, or the caller is an admin.
 * Fails: ACCOUNT_NOT_FOUND. Suspends: never. */
enum status kalman_check_account(struct ctx *ctx, int64_t account_id) WARN_UNUSED;

/*
 * Filters a series with the local level model. Suspends: may (long series run in the compute pool).
 * Fails: BAD_FIELD (fields are named as in luna.v1.FilterRequest), NO_RESULT (the answer does not
 * fit a double, or nothing is known), OVERLOADED, CANCELLED_BY_CALLER, DEADLINE_PASSED.
 */
enum status kalman_filter(struct ctx *ctx, const struct kalman_filter_request *req,
                          struct kalman_filter_result *ret) WARN_UNUSED;

#define KALMAN_MAX_STEPS 100000

/* The local level model whose noise is known for each step: mu[i] = mu[i-1] + eta[i] with variance
 * level_variances[i], values[i] = mu[i] + eps[i] with variance observation_variances[i]. Lists of
 * `n`, 1 to KALMAN_MAX_STEPS; NaN among the values: missing; variances finite and not negative.
 * mu[-1] has mean initial_mean and variance initial_variance. */
struct kalman_steps {
    const double *values;
    const double *observation_variances;
    const double *level_variances;
    size_t n;
    double initial_mean;
    double initial_variance;
};

/*
 * ret_levels[i] = E(mu[i] | values[0..i]), ret_variances[i] its variance (Durbin and Koopman 2012,
 * 4.3). A value that was certain before tells nothing. Suspends: never.
 * Fails: BAD_FIELD, NO_RESULT (it does not fit a double).
 */
enum status kalman_filter_steps(struct ctx *ctx, const struct kalman_steps *s, double *ret_levels,
                                double *ret_variances) WARN_UNUSED;

#endif
