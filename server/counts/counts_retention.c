/*
 * How long raw readings are kept, and their roll-off: see the migration counts_retention. The job
 * runs on one reactor of each server; what one server does with an account another leaves alone,
 * and whatever was begun any of them goes on with.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "counts/counts_private.h"
#include "counts/counts_roll.sql.h"

#define A_STEP       5000 /* readings removed in one transaction, or a grain's more */
#define JOB_DEADLINE SEC(3600)

/* ---- the policy ------------------------------------------------------------------------------ */

const struct db_col counts_policy_row[] = {
    DB_COL_NULLABLE(struct counts_policy, retention_days, DB_INT4),
    DB_COL(struct counts_policy, grain_seconds, DB_INT4),
    DB_COL(struct counts_policy, horizon, DB_TIMESTAMPTZ),
    DB_COL(struct counts_policy, announced_at, DB_TIMESTAMPTZ),
    DB_END,
};

enum status
counts_get_policy(struct ctx *ctx, struct counts_policy *ret)
{
    bool found = false;
    *ret = (struct counts_policy){0, COUNTS_GRAIN, -DB_INFINITY, -DB_INFINITY};
    return db_maybe(ctx, &sql_counts_get_policy, DB_ARGS(db_int8(ctx->who.account_id)), ret,
                    &found);
}

enum status
counts_set_policy(struct ctx *ctx, const struct counts_policy_change *c, struct counts_policy *ret)
{
    const int32_t g = c->grain_seconds;
    bool found = false;
    enum status st = OK;
    if (c->retention_days < 0 || c->retention_days > 36500)
        st = fail_field(ctx, "retention_days", "must be from 0 to 36500");
    if (g != 0 && g != 900 && g != 1800 && g != 3600 && g != 86400)
        st = fail_field(ctx, "rollup_seconds", "must be 900, 1800, 3600 or 86400");
    if (st != OK)
        return st;
    st = db_maybe(ctx, &sql_counts_set_policy,
                  DB_ARGS(db_int8(ctx->who.account_id), db_bool(c->has_retention_days),
                          db_opt(c->retention_days != 0, db_int4(c->retention_days)),
                          db_opt(g != 0, db_int4(g))),
                  ret, &found);
    if (st == OK && !found)
        return fail_field(ctx, "rollup_seconds",
                          "must be a multiple of what readings were rolled off by already");
    return st;
}

usec_t
counts_policy_floor(const struct counts_policy *p, usec_t at)
{
    const usec_t grain = (usec_t)p->grain_seconds * 1000000;
    if (at < 0 || at >= p->horizon || at + 1 == p->horizon)
        return at;
    return (at + 1) / grain * grain - 1;
}

/* ---- what may not change any more ------------------------------------------------------------ */

enum status
counts_hold_horizon(struct ctx *ctx)
{
    struct db_bool_value row;
    return db_one(ctx, &sql_counts_hold_horizon, DB_ARGS(db_int8(ctx->who.account_id)),
                  REASON_INTERNAL_ERROR, &row);
}

enum status
counts_fail_rolled_off(struct ctx *ctx, const char *what, usec_t horizon)
{
    char text[CLOCK_TEXT];
    clock_format(horizon, text);
    return fail(ctx, READINGS_ROLLED_OFF, "%s before %s: raw readings of that time are gone", what,
                text);
}

enum status
counts_check_changeable(struct ctx *ctx, int32_t dpu_id, usec_t from)
{
    struct counts_edge fixed;
    bool found = false;
    enum status st =
        db_maybe(ctx, &sql_counts_fixed_until,
                 DB_ARGS(db_int8(ctx->who.account_id), db_int4(dpu_id)), &fixed, &found);
    if (st == OK && found && from < fixed.at)
        return counts_fail_rolled_off(ctx, "an assignment cannot change", fixed.at);
    return st;
}

/* ---- roll-off -------------------------------------------------------------------------------- */

const struct db_col counts_rolling_row[] = {
    DB_COL_OPT(struct counts_rolling, next_dpu, DB_INT4, more),
    DB_COL_NULLABLE(struct counts_rolling, readings, DB_INT8),
    DB_COL_NULLABLE(struct counts_rolling, sums, DB_INT8),
    DB_COL_NULLABLE(struct counts_rolling, busy, DB_BOOL),
    DB_END,
};

static void
add(struct counts_rolled *sum, const struct counts_rolling *r)
{
    sum->readings += r->readings;
    sum->sums += r->sums;
    sum->busy = r->busy;
}

enum status
counts_roll_off(struct ctx *ctx, struct counts_rolled *ret)
{
    const struct db_arg account = db_int8(ctx->who.account_id);
    struct counts_rolling r = {.more = true};
    struct counts_edge due = {0};
    *ret = (struct counts_rolled){0};
    enum status st =
        db_one(ctx, &sql_counts_move_horizon, DB_ARGS(account), REASON_INTERNAL_ERROR, &due);
    if (st != OK || due.at == 0)
        return st;
    ret->horizon = due.at;
    st = counts_wait_for_others(ctx);
    while (st == OK && r.more) {
        const int32_t from = r.next_dpu;
        r = (struct counts_rolling){0};
        st = db_one(ctx, &sql_counts_roll_off, DB_ARGS(account, db_int4(from), db_int4(A_STEP)),
                    REASON_INTERNAL_ERROR, &r);
        if (st == OK)
            add(ret, &r);
    }
    if (st != OK || r.busy)
        return st;
    return db_exec(ctx, &sql_counts_rolled_off, DB_ARGS(account, db_timestamptz(due.at)), NULL);
}

enum status
counts_roll_off_plan(struct ctx *ctx, struct counts_rolled *ret)
{
    const struct db_arg account = db_int8(ctx->who.account_id);
    struct counts_rolling r = {.more = true};
    struct counts_edge due = {0};
    *ret = (struct counts_rolled){0};
    enum status st = db_one(ctx, &sql_counts_due, DB_ARGS(account), REASON_INTERNAL_ERROR, &due);
    ret->horizon = due.at;
    while (st == OK && due.at != 0 && r.more) {
        const int32_t from = r.next_dpu;
        r = (struct counts_rolling){0};
        st = db_one(ctx, &sql_counts_roll_off_plan,
                    DB_ARGS(account, db_int4(from), db_timestamptz(due.at)), REASON_INTERNAL_ERROR,
                    &r);
        if (st == OK)
            add(ret, &r);
    }
    return st;
}

typedef enum status (*account_fn)(struct ctx *ctx, void *arg);

/* Calls `fn` as each account that keeps its readings for a time only. */
static enum status
each_account(struct ctx *ctx, account_fn fn, void *arg)
{
    struct db_int8_value *rows;
    int64_t last = 0;
    size_t n = 1;
    enum status st = OK;
    while (st == OK && n > 0) {
        st = db_many(ctx, &sql_counts_retained, DB_ARGS(db_int8(last)), &rows, &n);
        for (size_t i = 0; st == OK && i < n; i++) {
            last = rows[i].value;
            ctx->who = (struct identity){.account_id = last, .role = ROLE_MEMBER};
            st = fn(ctx, arg);
        }
    }
    return st;
}

/* ---- luna-server admin roll-off-counts ------------------------------------------------------- */

struct admin_roll_off {
    FILE *out;
    bool dry_run;
};

static enum status
roll_off_and_tell(struct ctx *ctx, void *arg)
{
    const struct admin_roll_off *a = arg;
    struct counts_rolled r;
    char text[CLOCK_TEXT];
    enum status st = a->dry_run ? counts_roll_off_plan(ctx, &r) : counts_roll_off(ctx, &r);
    if (st != OK)
        return st;
    clock_format(r.horizon, text);
    if (r.horizon == 0)
        fprintf(a->out, "account %" PRId64 ": nothing to roll off\n", ctx->who.account_id);
    else if (r.busy)
        fprintf(a->out, "account %" PRId64 ": another server is at it\n", ctx->who.account_id);
    else
        fprintf(a->out,
                "account %" PRId64 ": %s %" PRId64 " readings before %s, %s %" PRId64 " sums\n",
                ctx->who.account_id, a->dry_run ? "would remove" : "removed", r.readings, text,
                a->dry_run ? "keep" : "kept", r.sums);
    return OK;
}

enum status
counts_admin_roll_off(struct ctx *ctx, bool dry_run, FILE *out)
{
    struct admin_roll_off a = {out, dry_run};
    return each_account(ctx, roll_off_and_tell, &a);
}

/* ---- the job --------------------------------------------------------------------------------- */

static enum status
roll_off_and_log(struct ctx *ctx, void *arg)
{
    struct counts_reactor *c = arg;
    struct counts_rolled r;
    if (reactor_stopping(c->reactor))
        return CANCELLED;
    enum status st = counts_roll_off(ctx, &r);
    if (st == OK && r.readings > 0)
        log_info("readings rolled off", log_int("account", ctx->who.account_id),
                 log_int("readings", r.readings), log_int("sums", r.sums));
    if (st != OK) /* the next account may do better */
        log_warning("readings not rolled off", log_int("account", ctx->who.account_id),
                    log_str("why", ctx->error.message ? ctx->error.message : status_name(st)));
    fail_clear(ctx);
    return OK;
}

static void
work(void *arg)
{
    struct counts_reactor *c = arg;
    struct arena arena;
    struct ctx ctx;
    arena_init(&arena, 0);
    ctx_init(&ctx, &arena, c->reactor);
    ctx.deadline = clock_now() + JOB_DEADLINE;
    enum status st = each_account(&ctx, roll_off_and_log, c);
    if (st != OK && st != CANCELLED)
        log_info("roll-off put off", log_str("why", ctx.error.message ? ctx.error.message : ""));
    ctx_fini(&ctx);
    arena_fini(&arena);
    if (!reactor_stopping(c->reactor))
        timer_set(c->reactor, &c->roll, clock_now() + c->roll_every);
}

static void
on_timer(struct timer *timer)
{
    struct counts_reactor *c = container_of(timer, struct counts_reactor, roll);
    if (!fiber_spawn(c->reactor, work, c))
        timer_set(c->reactor, &c->roll, clock_now() + c->roll_every);
}

void
counts_roll_off_every(struct reactor *r, nsec_t interval)
{
    struct counts_reactor *c = counts_of(r);
    const nsec_t first = SEC(60);
    c->roll_every = interval;
    if (interval > 0)
        timer_set(r, &c->roll, clock_now() + (interval < first ? interval : first));
}

void
counts_retention_init(struct counts_reactor *c)
{
    timer_init(&c->roll, on_timer);
}

void
counts_retention_fini(struct counts_reactor *c)
{
    timer_stop(c->reactor, &c->roll);
}
