#include "quota/gate.h"

#include "lua/quota_gate.lua.h"

const struct redis_script *const quota_scripts[] = {&quota_gate_lua};
const size_t quota_script_count = ARRAY_LEN(quota_scripts);

static struct str
number(struct arena *a, int64_t n)
{
    return str_of(arena_printf(a, "%lld", (long long)n));
}

static struct str
key(struct arena *a, int64_t account_id, const char *what, const char *name)
{
    return str_of(arena_printf(a, "user:{%lld}:%s%s", (long long)account_id, what, name));
}

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

/* The answer of quota_gate.lua. False: it has another shape. */
static bool
read_answer(const struct redis_reply *r, const struct gate_request *req, struct gate_decision *ret)
{
    if (r->type != REDIS_ARRAY || r->count < 2)
        return false;
    for (size_t i = 0; i < r->count; i++)
        if (r->items[i].type != REDIS_INTEGER)
            return false;
    int64_t verdict = r->items[0].integer;
    struct gate_decision d = {.quota_remaining = r->items[1].integer};
    if (verdict == -1) {
        d.verdict = GATE_NOT_LOADED;
        *ret = d;
        return true;
    }
    if (r->count != 2 + 4 * req->limit_count || verdict > (int64_t)req->limit_count)
        return false;
    d.verdict = verdict == 0 ? GATE_ADMITTED : verdict < 0 ? GATE_QUOTA_SPENT : GATE_RATE_LIMITED;
    d.refused_by = verdict > 0 ? (size_t)verdict - 1 : 0;
    for (size_t i = 0; i < req->limit_count; i++) {
        const struct redis_reply *item = &r->items[2 + 4 * i];
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
    struct str keys[2 + GATE_MAX_LIMITS];
    struct str args[3 + 3 * GATE_MAX_LIMITS];
    if (!is_sane(req))
        return fail(ctx, INTERNAL_ERROR, "a limit is out of range");
    size_t key_count = 0;
    size_t arg_count = 0;
    keys[key_count++] = key(a, req->account_id, "quota", "");
    keys[key_count++] = key(a, req->account_id, "spent", "");
    args[arg_count++] = number(a, req->cost);
    args[arg_count++] = req->charge_quota ? STR("1") : STR("0");
    args[arg_count++] = number(a, req->now);
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
    if (!read_answer(reply, req, ret))
        return fail(ctx, INTERNAL_ERROR, "the limiter's answer cannot be read");
    return OK;
}

enum status
gate_load(struct ctx *ctx, int64_t account_id, int64_t remaining)
{
    return redis_call(ctx, NULL, STR("SET"), key(ctx->arena, account_id, "quota", ""),
                      number(ctx->arena, remaining), STR("NX"));
}
