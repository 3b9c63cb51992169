/* What one does for sensors: their health, calibrations, and the estimate these give. */
#include <math.h>

#include "counts/counts.h"
#include "counts/counts.sql.h"
#include "counts/counts_private.h"

enum status
counts_list_health(struct ctx *ctx, int64_t after, int32_t limit, struct counts_health **ret,
                   size_t *ret_n)
{
    return db_many(ctx, &sql_counts_list_health,
                   DB_ARGS(db_int8(ctx->who.account_id), db_int4((int32_t)after), db_int4(limit)),
                   ret, ret_n);
}

enum status
counts_calibrate(struct ctx *ctx, const struct counts_calibration *in,
                 struct counts_calibration *ret)
{
    enum status st = counts_check_text(ctx, "note", in->note, 0, 500);
    if (in->count < 0)
        st = fail_field(ctx, "count", "must not be negative");
    if (!isfinite(in->deviation) || in->deviation < 0)
        st = fail_field(ctx, "deviation", "must be finite and not negative");
    if (in->at < 0 || in->at > clock_wall_us() + COUNTS_MAX_SKEW_US)
        st = fail_field(ctx, "at", "must not be before 1970 or in the future");
    if (st != OK)
        return st;
    return db_one(ctx, &sql_counts_insert_calibration,
                  DB_ARGS(db_int8(ctx->who.account_id), db_int8(in->space_id),
                          db_timestamptz(in->at), db_int8(in->count), db_float8(in->deviation),
                          db_text(in->note)),
                  REASON_INTERNAL_ERROR, ret);
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

/* What the filter believes of the drift, that is of the true count less the counted one. */
struct belief {
    double mean;
    double variance;
    int64_t passed; /* readings counted so far */
};

/* The drift is a random walk: each reading is wrong with a probability of `rate`, by one. */
static void
predict(struct belief *b, const struct counts_value *v, double rate)
{
    const int64_t passed = v->entrances + v->exits;
    b->variance += rate * fabs((double)(passed - b->passed));
    b->passed = passed;
}

/* The local level model's update (Durbin and Koopman, 2012, section 2.2). */
static void
correct(struct belief *b, double seen, double variance)
{
    const double f = b->variance + variance;
    const double gain = f > 0 ? b->variance / f : 0;
    b->mean += gain * (seen - b->mean);
    b->variance *= 1 - gain;
}

/*
 * It is the Kalman filter of a local level model with two numbers of state, written out here: its
 * steps are not alike (each has the noise of the readings in between), which the engine's model
 * with constant variances cannot say.
 */
enum status
counts_estimate(struct ctx *ctx, int64_t space_id, usec_t at, double error_rate,
                struct counts_estimate *ret)
{
    struct belief b = {0, 0, 0};
    struct counts_calibration *rows;
    struct counts_value v;
    size_t n = 0;
    int64_t used = 0;
    if (!(error_rate > 0 && error_rate <= 1))
        return fail_field(ctx, "error_rate", "must be above 0 and at most 1");
    enum status st = counts_list_calibrations(ctx, space_id, &rows, &n);
    for (size_t i = n; i-- > 0 && st == OK;) { /* oldest first */
        if (rows[i].at > at)
            continue;
        st = counts_at(ctx, space_id, rows[i].at, DB_INFINITY, &v);
        if (st != OK)
            break;
        predict(&b, &v, error_rate);
        correct(&b, (double)(rows[i].count - v.count), rows[i].deviation * rows[i].deviation);
        used++;
    }
    if (st == OK)
        st = counts_at(ctx, space_id, at, DB_INFINITY, &v);
    if (st != OK)
        return st;
    predict(&b, &v, error_rate);
    *ret = (struct counts_estimate){
        .count = v.count,
        .estimate = (double)v.count + b.mean,
        .deviation = sqrt(b.variance),
        .calibrations = used,
    };
    return OK;
}
