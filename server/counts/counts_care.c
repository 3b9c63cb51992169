/* What one does for sensors: their health, calibrations, and the estimate these give. */
#include <math.h>

#include "counts/counts.h"
#include "counts/counts.sql.h"
#include "counts/counts_private.h"
#include "counts/counts_roll.sql.h"
#include "kalman/kalman.h"

enum status
counts_list_health(struct ctx *ctx, int64_t after, int32_t limit, struct counts_health **ret,
                   size_t *ret_n)
{
    return db_many(ctx, &sql_counts_list_health,
                   DB_ARGS(db_int8(ctx->who.account_id), db_int4((int32_t)after), db_int4(limit)),
                   ret, ret_n);
}

struct calibrating {
    const struct counts_calibration *in;
    struct counts_calibration *ret;
};

/* The sums at a calibration stay when readings are rolled off: it must be there by then. */
static enum status
calibrate_in_tx(struct ctx *ctx, void *arg)
{
    const struct calibrating *c = arg;
    const struct counts_calibration in = *c->in; /* may be *ret */
    struct counts_policy p;
    enum status st = counts_hold_horizon(ctx);
    if (st == OK)
        st = counts_get_policy(ctx, &p);
    if (st == OK && in.at < p.horizon)
        return counts_fail_rolled_off(ctx, "no space can be calibrated", p.horizon);
    if (st != OK)
        return st;
    return db_one(ctx, &sql_counts_insert_calibration,
                  DB_ARGS(db_int8(ctx->who.account_id), db_int8(in.space_id), db_timestamptz(in.at),
                          db_int8(in.count), db_float8(in.deviation), db_text(in.note)),
                  REASON_INTERNAL_ERROR, c->ret);
}

enum status
counts_calibrate(struct ctx *ctx, const struct counts_calibration *in,
                 struct counts_calibration *ret)
{
    struct calibrating c = {in, ret};
    enum status st = counts_check_text(ctx, "note", in->note, 0, 500);
    if (in->count < 0)
        st = fail_field(ctx, "count", "must not be negative");
    if (!isfinite(in->deviation) || in->deviation < 0 || in->deviation > 1e9)
        st = fail_field(ctx, "deviation", "must be from 0 to 1e9");
    if (in->at < 0 || in->at > clock_wall_us() + COUNTS_MAX_SKEW_US)
        st = fail_field(ctx, "at", "must not be before 1970 or in the future");
    return st == OK ? db_tx(ctx, calibrate_in_tx, &c) : st;
}

enum status
counts_list_calibrations(struct ctx *ctx, int64_t space_id, struct counts_calibration **ret,
                         size_t *ret_n)
{
    struct counts_space space;
    enum status st = counts_get_space(ctx, space_id, &space);
    if (st != OK)
        return st;
    return db_many(ctx, &sql_counts_list_calibrations,
                   DB_ARGS(db_int8(ctx->who.account_id), db_int8(space_id)), ret, ret_n);
}

/* ---- the estimate ---------------------------------------------------------------------------- */

/*
 * The drift is the true count less the counted one. It is 0 before the first reading and walks from
 * there: each reading adds error_rate to its variance (it was missed or doubled with that
 * probability, by one), each day adds daily_variance. A calibration observes it: known less
 * counted, with the variance deviation^2. This is a local level model whose steps are not alike;
 * KalmanService's engine filters it, the last step being the instant that was asked for, where
 * nothing is observed.
 */
struct drift_steps {
    struct kalman_steps k;
    double *values;
    double *observed;
    double *walked;
    usec_t since; /* the step before */
    int64_t passed;
};

static void
drift_init(struct drift_steps *d, struct arena *a, size_t room)
{
    d->values = arena_new_n(a, double, room);
    d->observed = arena_new_n(a, double, room);
    d->walked = arena_new_n(a, double, room);
    d->k = (struct kalman_steps){
        .values = d->values, .observation_variances = d->observed, .level_variances = d->walked};
}

static void
drift_step(struct drift_steps *d, const struct counts_drift *drift, usec_t at, int64_t passed,
           double value, double variance)
{
    const size_t i = d->k.n++;
    const usec_t gone = at > d->since ? at - d->since : 0;
    d->values[i] = value;
    d->observed[i] = variance;
    d->walked[i] = drift->error_rate * fabs((double)(passed - d->passed)) +
                   drift->daily_variance * (double)gone / 86400e6;
    d->since = at > d->since ? at : d->since;
    d->passed = passed;
}

static enum status
check_drift(struct ctx *ctx, const struct counts_drift *drift)
{
    enum status st = OK;
    if (!(drift->error_rate > 0 && drift->error_rate <= 1))
        st = fail_field(ctx, "error_rate", "must be above 0 and at most 1");
    if (!(drift->daily_variance >= 0 && drift->daily_variance <= 1e9))
        st = fail_field(ctx, "daily_variance", "must be from 0 to 1e9");
    return st;
}

/* Midnight (UTC) before the first reading: it stays the same when readings are rolled off. */
static enum status
drift_begins(struct ctx *ctx, int64_t space_id, usec_t *ret)
{
    const usec_t day = INT64_C(86400) * 1000000;
    usec_t first;
    enum status st = counts_first_at(ctx, space_id, &first);
    if (st == OK)
        *ret = first == DB_INFINITY ? DB_INFINITY : first / day * day;
    return st;
}

enum status
counts_estimate(struct ctx *ctx, int64_t space_id, usec_t at, const struct counts_drift *drift,
                struct counts_estimate *ret)
{
    struct counts_known_point *rows;
    struct drift_steps d = {0};
    struct counts_value v;
    size_t n = 0;
    enum status st = check_drift(ctx, drift);
    if (st == OK)
        st = counts_at(ctx, space_id, at, DB_INFINITY, &v);
    if (st == OK && drift->daily_variance > 0)
        st = drift_begins(ctx, space_id, &d.since);
    if (st == OK)
        st = db_many(ctx, &sql_counts_at_calibrations,
                     DB_ARGS(db_int8(ctx->who.account_id), db_int8(space_id), db_timestamptz(v.at)),
                     &rows, &n);
    if (st != OK)
        return st;
    drift_init(&d, ctx->arena, n + 1);
    for (size_t i = 0; i < n; i++)
        drift_step(&d, drift, rows[i].at, rows[i].passed, (double)(rows[i].known - rows[i].count),
                   rows[i].deviation * rows[i].deviation);
    drift_step(&d, drift, v.at, v.entrances + v.exits, NAN, 0);
    double *levels = arena_new_n(ctx->arena, double, n + 1);
    double *variances = arena_new_n(ctx->arena, double, n + 1);
    st = kalman_filter_steps(ctx, &d.k, levels, variances);
    if (st == OK)
        *ret = (struct counts_estimate){v.at, v.count, (double)v.count + levels[n],
                                        sqrt(variances[n]), (int64_t)n};
    return st;
}
