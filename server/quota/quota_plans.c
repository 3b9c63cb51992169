/* Rules of plans, and what accounts have used. */
#include "edge/gate.h"
#include "edge/quota_gate.h"
#include "quota/quota_limits.h"
#include "quota/quota_limits.sql.h"
#include "quota/quota_private.h"

#define FORECAST_DAYS 7
#define DAY_US        (86400 * INT64_C(1000000))

extern const struct db_col account_row[];

const struct db_col plan_row[] = {
    DB_COL(struct plan, plan_id, DB_INT8),
    DB_COL(struct plan, plan_name, DB_TEXT),
    DB_COL(struct plan, quota_limit, DB_INT8),
    DB_COL(struct plan, quota_period, DB_TEXT),
    DB_COL(struct plan, account_capacity, DB_INT8),
    DB_COL(struct plan, account_unit_us, DB_INT8),
    DB_COL(struct plan, key_capacity, DB_INT8),
    DB_COL(struct plan, key_unit_us, DB_INT8),
    DB_COL(struct plan, concurrent_calls, DB_INT8),
    DB_COL(struct plan, report_only, DB_BOOL),
    DB_COL(struct plan, created_at, DB_TIMESTAMPTZ),
    DB_COL(struct plan, updated_at, DB_TIMESTAMPTZ),
    DB_END,
};

const struct db_col usage_now_row[] = {
    DB_COL(struct usage_now, account_id, DB_INT8),
    DB_COL(struct usage_now, quota_limit, DB_INT8),
    DB_COL_NULLABLE(struct usage_now, quota_used, DB_INT8),
    DB_COL(struct usage_now, quota_period, DB_TEXT),
    DB_COL_NULLABLE(struct usage_now, period_ends_at, DB_TIMESTAMPTZ),
    DB_COL_NULLABLE(struct usage_now, plan_id, DB_INT8),
    DB_COL_NULLABLE(struct usage_now, read_at, DB_TIMESTAMPTZ),
    DB_END,
};

const struct db_col usage_units_row[] = {
    DB_COL_NULLABLE(struct usage_units, name, DB_TEXT),
    DB_COL_NULLABLE(struct usage_units, units, DB_INT8),
    DB_END,
};

/* ---- plans ---------------------------------------------------------------------------------- */

enum status
quota_plan_lock(struct ctx *ctx, int64_t plan_id, struct plan *ret)
{
    return db_one(ctx, &sql_quota_lock_plan, DB_ARGS(db_int8(plan_id)), REASON_PLAN_NOT_FOUND, ret);
}

enum status
quota_plan_put(struct ctx *ctx, const struct plan *p, struct plan *ret)
{
    const size_t characters = str_utf8_count(str_of(p->plan_name));
    if (characters < 1 || characters > QUOTA_MAX_NAME)
        (void)fail_field(ctx, "plan.plan_name", "must have 1 to %d characters", QUOTA_MAX_NAME);
    if (p->quota_limit < 0)
        (void)fail_field(ctx, "plan.quota_limit", "must not be negative");
    if (p->concurrent_calls < 0)
        (void)fail_field(ctx, "plan.concurrent_calls", "must not be negative");
    if (ctx->error.status != OK)
        return ctx->error.status;
    const struct db_arg args[] = {
        db_int8(p->plan_id),      db_text(p->plan_name),        db_int8(p->quota_limit),
        db_text(p->quota_period), db_int8(p->account_capacity), db_int8(p->account_unit_us),
        db_int8(p->key_capacity), db_int8(p->key_unit_us),      db_int8(p->concurrent_calls),
        db_bool(p->report_only),
    };
    if (p->plan_id == 0)
        return db_one(ctx, &sql_quota_insert_plan,
                      ((struct db_args){args + 1, ARRAY_LEN(args) - 1}), REASON_INTERNAL_ERROR,
                      ret);
    return db_one(ctx, &sql_quota_update_plan, ((struct db_args){args, ARRAY_LEN(args)}),
                  REASON_PLAN_NOT_FOUND, ret);
}

enum status
quota_plan_get(struct ctx *ctx, int64_t plan_id, struct plan *ret)
{
    return db_one(ctx, &sql_quota_get_plan, DB_ARGS(db_int8(plan_id)), REASON_PLAN_NOT_FOUND, ret);
}

enum status
quota_plan_list(struct ctx *ctx, const struct list_request *list, struct plan **ret, size_t *ret_n,
                const char **ret_next)
{
    return list_rows(ctx, &sql_quota_list_plans, DB_NO_ARGS, list, ret, ret_n, ret_next);
}

enum status
quota_plan_delete(struct ctx *ctx, int64_t plan_id, usec_t updated_at)
{
    struct plan now;
    int64_t n = 0;
    enum status st = db_exec(ctx, &sql_quota_delete_plan,
                             DB_ARGS(db_int8(plan_id), db_timestamptz_or_null(updated_at)), &n);
    if (st != OK || n > 0)
        return st;
    st = quota_plan_get(ctx, plan_id, &now);
    return st == OK ? fail_plain(ctx, CHANGED_MEANWHILE) : st;
}

enum status
quota_plan_assign(struct ctx *ctx, int64_t account_id, int64_t plan_id, usec_t updated_at,
                  struct account *ret)
{
    bool found = false;
    if (account_id <= 0)
        return fail_field(ctx, "account_id", "must be positive");
    enum status st =
        db_maybe(ctx, &sql_quota_set_plan,
                 DB_ARGS(db_int8(account_id), db_int8(plan_id), db_timestamptz_or_null(updated_at)),
                 ret, &found);
    if (st != OK || found)
        return st;
    st = quota_account(ctx, account_id, ret);
    return st == OK ? fail_plain(ctx, CHANGED_MEANWHILE) : st;
}

/* ---- usage ---------------------------------------------------------------------------------- */

usec_t
quota_forecast(int64_t left, int64_t used, int days, usec_t now, usec_t ends)
{
    if (used <= 0 || days <= 0)
        return 0;
    if (left <= 0)
        return now;
    double wait = (double)left / ((double)used / ((double)days * (double)DAY_US));
    if (wait >= 1e18 - (double)now || (ends != DB_INFINITY && (double)now + wait >= (double)ends))
        return 0;
    return now + (usec_t)wait;
}

/* The units of the last days, and how many days there are to average over. */
static int64_t
recent(const struct quota_usage *u, int *ret_days)
{
    int64_t sum = 0;
    int days = 0;
    for (size_t i = u->day_count; i-- > 0 && days < FORECAST_DAYS; days++)
        sum += u->days[i].units;
    *ret_days = days;
    return sum;
}

enum status
quota_usage_read(struct ctx *ctx, int64_t account_id, int32_t days, struct quota_usage *ret)
{
    struct quota_usage u = {.day_count = 0};
    enum status st = quota_check_own(ctx, &account_id);
    if (st == OK && (days < 0 || days > 366))
        st = fail_field(ctx, "days", "is not from 1 to 366");
    if (st != OK)
        return st;
    if (quota_gate_flush(ctx, account_id) != OK)
        fail_clear(ctx); /* Redis is away: what Postgres knows */
    struct db_args args = DB_ARGS(db_int8(account_id), db_int4(days ? days : 30));
    const struct db_item items[] = {
        DB_ITEM_ONE(&sql_quota_usage_now, DB_ARGS(db_int8(account_id)), REASON_ACCOUNT_NOT_FOUND,
                    &u.now),
        DB_ITEM_MANY(&sql_quota_usage_by_day, args, &u.days, &u.day_count),
        DB_ITEM_MANY(&sql_quota_usage_by_method, args, &u.methods, &u.method_count),
    };
    st = db_batch(ctx, items, ARRAY_LEN(items));
    if (st != OK)
        return st;
    int averaged = 0;
    int64_t used = recent(&u, &averaged);
    u.runs_out_at = quota_forecast(u.now.quota_limit - u.now.quota_used, used, averaged,
                                   u.now.read_at, u.now.period_ends_at);
    *ret = u;
    return OK;
}
