/*
 * Units that are set aside. They are charged at once, as any call is; the reservation itself is a
 * row, so that it ends once: by a commit, a release or its time, whichever comes first. What it did
 * not use goes back by Postgres, and from there to Redis.
 */
#include "edge/quota_gate.h"
#include "quota/quota_limits.h"
#include "quota/quota_limits.sql.h"

#define RESERVE_METHOD "/luna.v1.LimiterService/Reserve"

const struct db_col reservation_row[] = {
    DB_COL_NULLABLE(struct reservation, changed, DB_BOOL),
    DB_COL_NULLABLE(struct reservation, state, DB_TEXT),
    DB_COL_NULLABLE(struct reservation, cost, DB_INT8),
    DB_COL_NULLABLE(struct reservation, actual, DB_INT8),
    DB_COL_NULLABLE(struct reservation, expires_at, DB_TIMESTAMPTZ),
    DB_END,
};

static enum status
check_id(struct ctx *ctx, const char *request_id)
{
    struct str s = str_of(request_id);
    if (s.n < 1 || s.n > 128 || !str_utf8_valid(s))
        return fail_field(ctx, "request_id", "must have 1 to 128 characters");
    return OK;
}

/* cost 0: only looks. */
static enum status
put(struct ctx *ctx, const char *id, int64_t cost, int64_t ttl_ms, struct reservation *ret,
    bool *ret_found)
{
    return db_maybe(
        ctx, &sql_quota_reserve,
        DB_ARGS(db_int8(ctx->who.account_id), db_text(id), db_int8(cost), db_int8(ttl_ms)), ret,
        ret_found);
}

static enum status
same(struct ctx *ctx, int64_t cost, const struct reservation *r, struct reservation *ret)
{
    if (r->cost != cost)
        return fail_field(ctx, "cost", "is not that of the reservation of this request_id");
    *ret = *r;
    return OK;
}

/* The units are charged: makes the row, or gives them back. */
static enum status
reserve_charged(struct ctx *ctx, const char *id, int64_t cost, int64_t ttl_ms,
                const struct quota_charge *charge, const struct gate_decision *d,
                struct reservation *ret)
{
    struct reservation r;
    bool found = false;
    enum status st = put(ctx, id, cost, ttl_ms, &r, &found);
    bool made = st == OK && found && r.changed;
    /* A write whose outcome is not known may have made it: then it ends by itself. */
    bool unknown = st != OK && ctx->error.reason != REASON_BAD_FIELD;
    if (!made && !unknown)
        quota_gate_undo(ctx, charge, d);
    if (st != OK)
        return st;
    return found ? same(ctx, cost, &r, ret) : fail_plain(ctx, ACCOUNT_NOT_FOUND);
}

enum status
quota_reserve(struct ctx *ctx, const char *request_id, int64_t cost, int64_t ttl_ms,
              struct reservation *ret)
{
    struct reservation r;
    struct gate_decision d;
    const struct gate_limit *limits;
    size_t n;
    bool found = false;
    enum status st = check_id(ctx, request_id);
    if (cost < 1 || cost > GATE_MAX_COST)
        st = fail_field(ctx, "cost", "is not from 1 to %lld", (long long)GATE_MAX_COST);
    if (ttl_ms < 0 || ttl_ms > QUOTA_MAX_TTL_MS)
        st = fail_field(ctx, "ttl_ms", "is not from 1 to %d", QUOTA_MAX_TTL_MS);
    if (st == OK)
        st = put(ctx, request_id, 0, 0, &r, &found);
    if (st != OK || found)
        return st != OK ? st : same(ctx, cost, &r, ret);
    const struct quota_charge charge = {
        .account_id = ctx->who.account_id,
        .key_id = ctx->who.key_id,
        .cost = cost,
        .method = RESERVE_METHOD,
        .charge_quota = true,
        .account_limits = true,
    };
    st = quota_gate_charge(ctx, &charge, &d, &limits, &n);
    if (st != OK)
        return st;
    if (d.verdict != GATE_ADMITTED)
        return quota_gate_refuse(ctx, charge.account_id, cost, &d, limits);
    return reserve_charged(ctx, request_id, cost, ttl_ms ? ttl_ms : 60000, &charge, &d, ret);
}

/* actual -1: released. */
static enum status
end(struct ctx *ctx, const char *request_id, int64_t actual, struct reservation *ret)
{
    bool found = false;
    enum status st = check_id(ctx, request_id);
    if (st != OK)
        return st;
    /* What goes back must have arrived first. */
    if (quota_gate_flush(ctx, ctx->who.account_id) != OK)
        return ctx->error.status;
    st = db_maybe(ctx, &sql_quota_end_reservation,
                  DB_ARGS(db_int8(ctx->who.account_id), db_text(request_id), db_int8(actual)), ret,
                  &found);
    return st == OK && !found ? fail_plain(ctx, RESERVATION_NOT_FOUND) : st;
}

enum status
quota_commit(struct ctx *ctx, const char *request_id, int64_t actual, struct reservation *ret)
{
    struct reservation r;
    if (actual < 0)
        return fail_field(ctx, "actual", "must not be negative");
    enum status st = end(ctx, request_id, actual, &r);
    if (st != OK)
        return st;
    if (str_eq(str_of(r.state), STR("held")))
        return fail_field(ctx, "actual", "is more than the %lld that were reserved",
                          (long long)r.cost);
    if (!str_eq(str_of(r.state), STR("committed")))
        return fail(ctx, RESERVATION_ENDED, "the reservation was %s", r.state);
    if (r.actual != actual)
        return fail(ctx, RESERVATION_ENDED, "the reservation was committed with %lld units",
                    (long long)r.actual);
    *ret = r;
    return OK;
}

enum status
quota_release(struct ctx *ctx, const char *request_id, struct reservation *ret)
{
    struct reservation r;
    enum status st = end(ctx, request_id, -1, &r);
    if (st != OK)
        return st;
    if (str_eq(str_of(r.state), STR("committed")))
        return fail(ctx, RESERVATION_ENDED, "the reservation was committed");
    *ret = r;
    return OK;
}
