#include "edge/gate.h"

#include "lua/quota_flush.lua.h"
#include "lua/quota_gate.lua.h"
#include "lua/quota_load.lua.h"
#include "lua/quota_return.lua.h"
#include "lua/quota_settle.lua.h"

#define ANSWER_HEAD 9 /* numbers in front of the limits in quota_gate.lua's answer */

const struct redis_script *const gate_scripts[] = {
    &quota_gate_lua, &quota_load_lua, &quota_flush_lua, &quota_settle_lua, &quota_return_lua,
};
const size_t gate_script_count = ARRAY_LEN(gate_scripts);

static struct str
number(struct arena *a, int64_t n)
{
    char *p = arena_alloc_raw(a, STR_I64_SIZE);
    return (struct str){p, (size_t)(str_write_i64(p, n) - p)};
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

bool
gate_request_sane(const struct gate_request *req)
{
    if (req->limit_count > GATE_MAX_LIMITS || req->cost < 0 || req->cost > GATE_MAX_COST)
        return false;
    for (size_t i = 0; i < req->limit_count; i++) {
        const struct gate_limit *l = &req->limits[i];
        /* cost * unit and capacity * unit must stay exact in a double. */
        if (l->capacity < 1 || l->capacity > GATE_MAX_CAPACITY || l->unit_us < 1 ||
            l->unit_us > GATE_MAX_UNIT_US || strlen(l->name) > GATE_MAX_NAME ||
            (double)(l->capacity > req->cost ? l->capacity : req->cost) * (double)l->unit_us >
                0x1p52)
            return false;
    }
    return true;
}

/* Puts the texts of a question one behind the other. */
static struct str
put_number(char **p, int64_t n)
{
    char *start = *p;
    *p = str_write_i64(start, n);
    return (struct str){start, (size_t)(*p - start)};
}

static void
put_text(char **p, struct str s)
{
    memcpy(*p, s.p, s.n);
    *p += s.n;
}

static struct str
put_key(char **p, int64_t account_id, const char *what, const char *name)
{
    char *start = *p;
    put_text(p, STR("user:{"));
    *p = str_write_i64(*p, account_id);
    put_text(p, STR("}:"));
    put_text(p, str_of(what));
    put_text(p, str_of(name));
    return (struct str){start, (size_t)(*p - start)};
}

void
gate_question_write(struct gate_question *q, const struct gate_request *req, size_t calls)
{
    ASSERT(calls >= 1 && calls <= GATE_MAX_CALLS);
    ASSERT(calls == 1 || (!req->dry_run && req->max_calls == 0));
    char *p = q->text;
    size_t k = 0;
    size_t n = 0;
    q->keys[k++] = put_key(&p, req->account_id, "quota", "");
    q->keys[k++] = put_key(&p, req->account_id, "epoch", "");
    q->keys[k++] = put_key(&p, req->account_id, "spent", "");
    q->keys[k++] = put_key(&p, req->account_id, "calls", "");
    q->args[n++] = put_number(&p, req->cost);
    q->args[n++] = req->charge_quota ? (req->dry_run ? STR("1d") : STR("1"))
                                     : (req->dry_run ? STR("0d") : STR("0"));
    q->args[n++] = put_number(&p, req->now);
    q->args[n++] = str_of(req->run ? req->run : "");
    q->args[n++] = str_of(req->method ? req->method : "");
    q->args[n++] = put_number(&p, (int64_t)calls);
    q->args[n++] = put_number(&p, req->max_calls);
    q->args[n++] = str_of(req->call_id ? req->call_id : "");
    q->args[n++] = put_number(&p, req->lease / USEC(1));
    for (size_t i = 0; i < req->limit_count; i++) {
        const struct gate_limit *l = &req->limits[i];
        q->keys[k++] = put_key(&p, req->account_id, "rate:", l->name);
        q->args[n++] = put_number(&p, l->capacity);
        q->args[n++] = put_number(&p, l->unit_us);
        q->args[n++] = l->report_only ? STR("1") : STR("0");
    }
    q->key_count = k;
    q->arg_count = n;
}

bool
gate_question_send(struct reactor *r, const struct gate_question *q, bool whole,
                   struct redis_listener *l)
{
    return redis_eval_for(r, &quota_gate_lua, whole, q->keys, q->key_count, q->args, q->arg_count,
                          l);
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

bool
gate_answer_read(const struct redis_reply *r, const struct gate_request *req, size_t calls,
                 struct gate_answer *ret)
{
    if (!are_integers(r, 2))
        return false;
    int64_t verdict = r->items[0].integer;
    int64_t admitted = r->items[1].integer;
    if (verdict == -1) {
        *ret = (struct gate_answer){.verdict = GATE_NOT_LOADED, .now = r->items[1].integer};
        return true;
    }
    if (!are_integers(r, ANSWER_HEAD + req->limit_count) || verdict < -5 ||
        verdict > (int64_t)req->limit_count || admitted < 0 || admitted > (int64_t)calls ||
        (verdict == 0) != (admitted == (int64_t)calls))
        return false;
    *ret = (struct gate_answer){
        .verdict = verdict_of(verdict),
        .refused_by = verdict > 0 ? (size_t)verdict - 1 : 0,
        .admitted = admitted,
        .left = r->items[2].integer,
        .quota_limit = r->items[3].integer,
        .epoch = r->items[4].integer,
        .flush = r->items[5].integer,
        .day = r->items[6].integer,
        .calls = r->items[7].integer,
        .ends_in = USEC(r->items[8].integer),
    };
    for (size_t i = 0; i < req->limit_count; i++)
        ret->ahead[i] = r->items[ANSWER_HEAD + i].integer;
    return true;
}

/* GCRA as the script has it: the limit after `before` calls have taken from it, as one more finds
 * it. */
static struct gate_limit_state
state_of(const struct gate_limit *l, int64_t cost, usec_t ahead, int64_t before, bool takes)
{
    int64_t window = l->capacity * l->unit_us;
    int64_t step = cost * l->unit_us;
    if (before > 0 && step > 0) {
        bool fit = before * step <= window - ahead; /* less than 2^60 */
        ahead += step * (fit ? before : (window - ahead) / step);
    }
    bool admits = ahead + step <= window;
    if (admits && takes)
        ahead += step;
    return (struct gate_limit_state){
        .admits = admits,
        .remaining = (window - ahead) / l->unit_us,
        .retry_after = admits               ? 0
                       : cost > l->capacity ? NSEC_NEVER
                                            : USEC(ahead + step - window),
        .reset_after = USEC(ahead),
    };
}

void
gate_decision_of(const struct gate_answer *a, const struct gate_request *req, size_t nth,
                 struct gate_decision *ret)
{
    if (a->verdict == GATE_NOT_LOADED) {
        *ret = (struct gate_decision){.verdict = GATE_NOT_LOADED, .now = a->now};
        return;
    }
    bool admitted = (int64_t)nth < a->admitted;
    bool takes = admitted && !req->dry_run;
    int64_t before = admitted ? (int64_t)nth : a->admitted;
    /* One by one: a literal would clear the room for all the limits that there are not. */
    ret->verdict = admitted ? GATE_ADMITTED : a->verdict;
    ret->refused_by = a->refused_by;
    ret->quota_remaining = a->left - (req->charge_quota ? req->cost * (before + takes) : 0);
    ret->quota_limit = a->quota_limit;
    ret->epoch = a->epoch;
    ret->flush = a->flush;
    ret->day = a->day;
    ret->calls = a->calls;
    ret->now = 0;
    ret->ends_in = a->ends_in;
    for (size_t i = 0; i < req->limit_count; i++)
        ret->limits[i] = state_of(&req->limits[i], req->cost, a->ahead[i], before, takes);
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
