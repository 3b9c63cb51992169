#include "edge/gate.h"

#include "lua/quota_flush.lua.h"
#include "lua/quota_gate.lua.h"
#include "lua/quota_load.lua.h"
#include "lua/quota_return.lua.h"
#include "lua/quota_settle.lua.h"

#define ANSWER_HEAD 8 /* numbers in front of the limits in quota_gate.lua's answer */

const struct redis_script *const gate_scripts[] = {
    &quota_gate_lua, &quota_load_lua, &quota_flush_lua, &quota_settle_lua, &quota_return_lua,
};
const size_t gate_script_count = ARRAY_LEN(gate_scripts);

static struct str
number(struct arena *a, int64_t n)
{
    char text[24];
    char *end = text + sizeof(text);
    char *p = end;
    uint64_t u = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do {
        *--p = (char)('0' + u % 10);
        u /= 10;
    } while (u > 0);
    if (n < 0)
        *--p = '-';
    size_t size = (size_t)(end - p);
    return (struct str){arena_strndup(a, p, size), size};
}

static struct str
key(struct arena *a, int64_t account_id, const char *what, const char *name)
{
    return str_of(arena_printf(a, "user:{%lld}:%s%s", (long long)account_id, what, name));
}

/* The four keys that every account has, in the order of the scripts. */
static void
account_keys(struct arena *a, int64_t account_id, const char *fourth, struct str keys[4])
{
    keys[0] = key(a, account_id, "quota", "");
    keys[1] = key(a, account_id, "epoch", "");
    keys[2] = key(a, account_id, "spent", "");
    keys[3] = key(a, account_id, fourth, "");
}

static enum status
bad_answer(struct ctx *ctx)
{
    return fail(ctx, INTERNAL_ERROR, "the limiter's answer cannot be read");
}

/* True when the answer is a list of `least` integers or more. */
static bool
are_integers(const struct redis_reply *r, size_t least)
{
    if (r->type != REDIS_ARRAY || r->count < least)
        return false;
    for (size_t i = 0; i < least; i++)
        if (r->items[i].type != REDIS_INTEGER)
            return false;
    return true;
}

/* ---- deciding ------------------------------------------------------------------------------- */

static bool
is_sane(const struct gate_request *req)
{
    if (req->limit_count > GATE_MAX_LIMITS || req->cost < 0 || req->cost > GATE_MAX_COST)
        return false;
    for (size_t i = 0; i < req->limit_count; i++) {
        const struct gate_limit *l = &req->limits[i];
        /* cost * unit and capacity * unit must stay exact in a double. */
        if (l->capacity < 1 || l->capacity > GATE_MAX_CAPACITY || l->unit_us < 1 ||
            l->unit_us > GATE_MAX_UNIT_US ||
            (double)(l->capacity > req->cost ? l->capacity : req->cost) * (double)l->unit_us >
                0x1p52)
            return false;
    }
    return true;
}

static enum gate_verdict
verdict_of(int64_t n)
{
    switch (n) {
    case 0:
        return GATE_ADMITTED;
    case -2:
        return GATE_QUOTA_SPENT;
    case -3:
        return GATE_NEEDS_GRANT;
    case -4:
        return GATE_PERIOD_OVER;
    case -5:
        return GATE_TOO_MANY_CALLS;
    default:
        return GATE_RATE_LIMITED;
    }
}

/* The answer of quota_gate.lua. False: it has another shape. */
static bool
read_answer(const struct redis_reply *r, const struct gate_request *req, struct gate_decision *ret)
{
    if (!are_integers(r, 2))
        return false;
    int64_t verdict = r->items[0].integer;
    if (verdict == -1) {
        *ret = (struct gate_decision){.verdict = GATE_NOT_LOADED, .now = r->items[1].integer};
        return true;
    }
    if (!are_integers(r, ANSWER_HEAD + 4 * req->limit_count) || verdict < -5 ||
        verdict > (int64_t)req->limit_count)
        return false;
    struct gate_decision d = {
        .verdict = verdict_of(verdict),
        .refused_by = verdict > 0 ? (size_t)verdict - 1 : 0,
        .quota_remaining = r->items[1].integer,
        .quota_limit = r->items[2].integer,
        .epoch = r->items[3].integer,
        .flush = r->items[4].integer,
        .day = r->items[5].integer,
        .calls = r->items[6].integer,
        .ends_in = USEC(r->items[7].integer),
    };
    for (size_t i = 0; i < req->limit_count; i++) {
        const struct redis_reply *item = &r->items[ANSWER_HEAD + 4 * i];
        d.limits[i] = (struct gate_limit_state){
            .admits = item[0].integer != 0,
            .remaining = item[1].integer,
            .retry_after = item[2].integer < 0 ? NSEC_NEVER : USEC(item[2].integer),
            .reset_after = USEC(item[3].integer),
        };
    }
    *ret = d;
    return true;
}

enum status
gate_decide(struct ctx *ctx, const struct gate_request *req, struct gate_decision *ret)
{
    struct arena *a = ctx->arena;
    struct str keys[4 + GATE_MAX_LIMITS];
    struct str args[8 + 3 * GATE_MAX_LIMITS];
    if (!is_sane(req))
        return fail(ctx, INTERNAL_ERROR, "a limit is out of range");
    size_t key_count = 4;
    size_t arg_count = 0;
    account_keys(a, req->account_id, "calls", keys);
    args[arg_count++] = number(a, req->cost);
    args[arg_count++] = req->charge_quota ? (req->dry_run ? STR("1d") : STR("1"))
                                          : (req->dry_run ? STR("0d") : STR("0"));
    args[arg_count++] = number(a, req->now);
    args[arg_count++] = str_of(req->run ? req->run : "");
    args[arg_count++] = str_of(req->method ? req->method : "");
    args[arg_count++] = number(a, req->max_calls);
    args[arg_count++] = str_of(req->call_id ? req->call_id : "");
    args[arg_count++] = number(a, req->lease / USEC(1));
    for (size_t i = 0; i < req->limit_count; i++) {
        const struct gate_limit *l = &req->limits[i];
        keys[key_count++] = key(a, req->account_id, "rate:", l->name);
        args[arg_count++] = number(a, l->capacity);
        args[arg_count++] = number(a, l->unit_us);
        args[arg_count++] = l->report_only ? STR("1") : STR("0");
    }
    struct redis_reply *reply;
    enum status st = redis_eval(ctx, &quota_gate_lua, keys, key_count, args, arg_count, &reply);
    if (st != OK)
        return st;
    return read_answer(reply, req, ret) ? OK : bad_answer(ctx);
}

enum status
gate_give_back(struct ctx *ctx, const struct gate_request *req, const struct gate_decision *d,
               int64_t cost, int64_t *ret_flush)
{
    struct arena *a = ctx->arena;
    struct str keys[4 + GATE_MAX_LIMITS];
    struct str args[4 + GATE_MAX_LIMITS];
    size_t key_count = 3;
    size_t arg_count = 0;
    account_keys(a, req->account_id, "calls", keys);
    args[arg_count++] = str_of(req->run);
    args[arg_count++] = number(a, d->epoch);
    args[arg_count++] = number(a, cost);
    args[arg_count++] =
        str_of(arena_printf(a, "%lld|%s", (long long)d->day, req->method ? req->method : ""));
    for (size_t i = 0; i < req->limit_count; i++) {
        if (!d->limits[i].admits) /* it only reported, and took nothing */
            continue;
        keys[key_count++] = key(a, req->account_id, "rate:", req->limits[i].name);
        args[arg_count++] = number(a, req->limits[i].unit_us);
    }
    struct redis_reply *reply;
    enum status st = redis_eval(ctx, &quota_return_lua, keys, key_count, args, arg_count, &reply);
    if (st != OK)
        return st;
    if (!are_integers(reply, 2))
        return bad_answer(ctx);
    *ret_flush = reply->items[0].integer;
    return OK;
}

void
gate_release_call(struct reactor *r, struct arena *a, int64_t account_id, const char *call_id)
{
    const struct str argv[] = {STR("ZREM"), key(a, account_id, "calls", ""), str_of(call_id)};
    (void)redis_post(r, argv, ARRAY_LEN(argv)); /* lost: the lease ends it */
}

/* ---- epochs and flushes --------------------------------------------------------------------- */

enum status
gate_load(struct ctx *ctx, const char *run, const struct gate_epoch *e, usec_t asked,
          int64_t replaces, enum gate_load *ret, int64_t *ret_other)
{
    struct arena *a = ctx->arena;
    struct str keys[4];
    account_keys(a, e->account_id, "flushing", keys);
    const struct str args[] = {
        str_of(run),           number(a, e->epoch),      number(a, e->quota_limit),
        number(a, e->base),    number(a, e->granted),    number(a, e->grant_no),
        number(a, e->version), number(a, e->period_end), number(a, asked),
        number(a, replaces),
    };
    struct redis_reply *reply;
    enum status st =
        redis_eval(ctx, &quota_load_lua, keys, ARRAY_LEN(keys), args, ARRAY_LEN(args), &reply);
    if (st != OK)
        return st;
    if (!are_integers(reply, 1) || reply->items[0].integer < 0 || reply->items[0].integer > 3)
        return bad_answer(ctx);
    *ret = (enum gate_load)reply->items[0].integer;
    if (*ret == GATE_LOAD_OTHER) {
        if (!are_integers(reply, 2))
            return bad_answer(ctx);
        *ret_other = reply->items[1].integer;
    }
    return OK;
}

enum status
gate_flush_begin(struct ctx *ctx, const char *run, int64_t account_id, struct gate_flush *ret)
{
    struct arena *a = ctx->arena;
    struct str keys[4];
    account_keys(a, account_id, "flushing", keys);
    const struct str args[] = {str_of(run)};
    struct redis_reply *reply;
    enum status st = redis_eval(ctx, &quota_flush_lua, keys, ARRAY_LEN(keys), args, 1, &reply);
    if (st != OK)
        return st;
    if (!are_integers(reply, 2) || reply->count % 2 != 0)
        return bad_answer(ctx);
    struct gate_flush f = {.epoch = reply->items[0].integer, .flush = reply->items[1].integer};
    f.count = reply->count / 2 - 1;
    f.fields = arena_new_n(a, const char *, f.count + 1);
    f.units = arena_new_n(a, int64_t, f.count + 1);
    for (size_t i = 0; i < f.count; i++) {
        const struct redis_reply *pair = &reply->items[2 + 2 * i];
        if (pair[0].type != REDIS_STRING || pair[1].type != REDIS_INTEGER)
            return bad_answer(ctx);
        f.fields[i] = pair[0].str.p;
        f.units[i] = pair[1].integer;
    }
    *ret = f;
    return OK;
}

enum status
gate_flush_end(struct ctx *ctx, const char *run, const struct gate_epoch *e, int64_t flush,
               bool retire, struct gate_flushed *ret)
{
    struct arena *a = ctx->arena;
    struct str keys[4];
    account_keys(a, e->account_id, "flushing", keys);
    const struct str args[] = {
        str_of(run),           number(a, e->epoch),       number(a, flush),
        number(a, e->version), number(a, e->quota_limit), number(a, e->base),
        number(a, e->granted), number(a, e->grant_no),    retire ? STR("1") : STR("0"),
    };
    struct redis_reply *reply;
    enum status st =
        redis_eval(ctx, &quota_settle_lua, keys, ARRAY_LEN(keys), args, ARRAY_LEN(args), &reply);
    if (st != OK)
        return st;
    if (!are_integers(reply, 1) || (reply->items[0].integer == 1 && !are_integers(reply, 6)))
        return bad_answer(ctx);
    const struct redis_reply *n = reply->items;
    *ret = (struct gate_flushed){.there = n[0].integer == 1};
    if (ret->there) {
        ret->remaining = n[1].integer;
        ret->spent = n[2].integer;
        ret->grant_no = n[3].integer;
        ret->retired = n[4].integer == 1;
        ret->more = n[5].integer == 1;
    }
    return OK;
}
