#include "edge/quota_gate.h"

#include <stdlib.h>

#include "base/config.h"
#include "base/log.h"
#include "cache/redis.h"
#include "edge/gate_answer.h"
#include "edge/gate_state.h"
#include "edge/metrics.h"

#define MAX_REACTORS 256
#define SETTLE_PAUSE MSEC(20) /* between questions while a grant is on its way */
#define SETTLE_TRIES 5
#define REFRESH      SEC(1) /* a spent quota is looked up again after so long */
#define NOTE_EVERY   SEC(60)

static _Atomic(struct quota_gate *) gates[MAX_REACTORS];
static size_t gate_slot; /* of the interceptor in the chain */

void
quota_gate_init(const struct config *cfg)
{
    gate_settings = (struct gate_settings){
        .on = cfg->quota,
        .interval = cfg->quota_flush_interval,
        .chunk = cfg->quota_grant,
        .lease = cfg->quota_lease,
        .older = cfg->quota_older_metadata,
    };
    /* A grant must hold those of several reactors, and what is on its way to Postgres. */
    if (gate_settings.lease > gate_settings.chunk / 8)
        gate_settings.lease = gate_settings.chunk / 8;
}

void
quota_gate_attach(struct reactor *r)
{
    struct quota_gate *g = calloc(1, sizeof(*g));
    ASSERT(g);
    g->reactor = r;
    gate_ask_init(g);
    gate_sync_init(g);
    reactor_set_slot(r, SLOT_EDGE, g);
    if (reactor_index(r) < MAX_REACTORS)
        atomic_store(&gates[reactor_index(r)], g);
}

void
quota_gate_detach(struct reactor *r)
{
    struct quota_gate *g = gate_of(r);
    if (!g)
        return;
    if (reactor_index(r) < MAX_REACTORS)
        atomic_store(&gates[reactor_index(r)], NULL);
    gate_ask_fini(g);
    gate_sync_fini(g);
    reactor_set_slot(r, SLOT_EDGE, NULL);
    free(g);
}

/* ---- deciding ------------------------------------------------------------------------------- */

/* "key:7" */
static const char *
key_limit_name(struct arena *arena, int64_t key_id)
{
    char *name = arena_alloc_raw(arena, GATE_PLAN_NAME);
    memcpy(name, "key:", 4);
    *str_write_i64(name + 4, key_id) = '\0';
    return name;
}

/* The limits of the account's plan. Returns how many. */
static size_t
plan_limits(struct arena *arena, const struct gate_limits *p, int64_t key_id,
            struct gate_limit out[GATE_PLAN_LIMITS])
{
    size_t n = 0;
    if (p->account_capacity > 0)
        out[n++] =
            (struct gate_limit){"account", p->account_capacity, p->account_unit_us, p->report_only};
    if (p->key_capacity > 0 && key_id != 0)
        out[n++] = (struct gate_limit){key_limit_name(arena, key_id), p->key_capacity,
                                       p->key_unit_us, p->report_only};
    return n;
}

/* Something stands in the way that can be mended: mends it, so that the question of `asked` may be
 * asked again. *ret_again false: the verdict stands. `tries`: how often that did not help. */
static enum status
mend(struct ctx *ctx, struct quota_gate *g, struct gate_account *a, const struct gate_request *req,
     const struct gate_decision *d, nsec_t asked, int *tries, bool *ret_again)
{
    enum status st;
    bool ours = true;
    *ret_again = true;
    switch (d->verdict) {
    case GATE_NOT_LOADED:
        return gate_open(ctx, g, a, d->now, 0);
    case GATE_PERIOD_OVER:
        st = gate_sync(ctx, g, a, false);
        return st == OK ? gate_open(ctx, g, a, clock_wall_us(), d->epoch) : st;
    case GATE_NEEDS_GRANT:
        if (*tries > SETTLE_TRIES) {
            GATE_ADD(g, refused_settling, 1);
            return fail(ctx, CACHE_UNAVAILABLE, "the quota is being settled, try again");
        }
        a->needs += req->cost;
        st = gate_sync_since(ctx, g, a, asked, &ours);
        if (st == OK && ours && (*tries)++ > 0)
            st = fiber_sleep(ctx, SETTLE_PAUSE);
        return st;
    case GATE_QUOTA_SPENT:
        if ((*tries)++ == 0 && (a->synced_at == 0 || clock_now() - a->synced_at >= REFRESH))
            return gate_sync_since(ctx, g, a, asked, &ours);
        break;
    case GATE_ADMITTED:
    case GATE_RATE_LIMITED:
    case GATE_TOO_MANY_CALLS:
        break;
    }
    *ret_again = false;
    return OK;
}

static enum status
decide_by_redis(struct ctx *ctx, struct quota_gate *g, struct gate_account *a,
                const struct gate_request *req, struct gate_decision *ret)
{
    int tries = 0;
    for (;;) {
        bool again = false;
        bool dead = false;
        nsec_t asked = reactor_now(g->reactor);
        enum status st = gate_know_run(ctx, g);
        if (st == OK)
            st = gate_know_actor(ctx, g);
        if (st == OK)
            st = gate_ask(ctx, g, a, req, ret, &dead);
        if (st == OK && dead) {
            st = fiber_sleep(ctx, SETTLE_PAUSE);
            again = true;
        } else if (st == OK) {
            st = mend(ctx, g, a, req, ret, asked, &tries, &again);
        }
        if (st != OK || !again)
            return st;
    }
}

static enum status
decide(struct ctx *ctx, struct quota_gate *g, struct gate_account *a,
       const struct gate_request *req, struct gate_decision *ret)
{
    if (gate_settings.lease > 0 && gate_lease_spend(ctx, g, a, req, ret)) {
        latency_note(&g->decided, 0);
        return OK;
    }
    nsec_t began = clock_now();
    enum status st = decide_by_redis(ctx, g, a, req, ret);
    latency_note(&g->decided, clock_now() - began);
    return st;
}

static void
count(struct quota_gate *g, const struct gate_request *req, const struct gate_decision *d)
{
    switch (d->verdict) {
    case GATE_ADMITTED:
        GATE_ADD(g, admitted, 1);
        break;
    case GATE_QUOTA_SPENT:
        GATE_ADD(g, refused_quota, 1);
        break;
    case GATE_TOO_MANY_CALLS:
        GATE_ADD(g, refused_calls, 1);
        break;
    default:
        GATE_ADD(g, refused_rate, 1);
        break;
    }
    for (size_t i = 0; i < req->limit_count; i++) {
        if (req->limits[i].report_only && !d->limits[i].admits) {
            GATE_ADD(g, would_refuse, 1);
            break;
        }
    }
}

/* ---- events --------------------------------------------------------------------------------- */

struct spent_note {
    struct quota_gate *gate;
    int64_t account_id;
    int64_t limit;
};

static void
write_note(void *arg)
{
    struct spent_note *n = arg;
    struct arena arena;
    struct ctx ctx;
    arena_init(&arena, 0);
    ctx_init(&ctx, &arena, n->gate->reactor);
    ctx.deadline = clock_now() + SEC(5);
    const char *json = arena_printf(&arena, "{\"quota_limit\": %lld}", (long long)n->limit);
    if (gate_store_event(&ctx, n->account_id, "quota_spent", json) != OK)
        log_debug("event not written", log_str("why", ctx.error.message));
    ctx_fini(&ctx);
    arena_fini(&arena);
    free(n);
}

/* That a quota is spent is an event, not more than once a minute. */
static void
note_spent(struct quota_gate *g, struct gate_account *a, const struct gate_decision *d)
{
    nsec_t now = clock_now();
    if (a->noted_at != 0 && now - a->noted_at < NOTE_EVERY)
        return;
    a->noted_at = now;
    struct spent_note *n = malloc(sizeof(*n));
    ASSERT(n);
    *n = (struct spent_note){g, a->account_id, d->quota_limit};
    if (!fiber_spawn(g->reactor, write_note, n))
        free(n);
}

/* ---- for those who ask themselves -------------------------------------------------------------
 */

static enum status
charge(struct ctx *ctx, struct quota_gate *g, struct gate_account *a,
       const struct gate_request *req, struct gate_decision *ret)
{
    enum status st = decide(ctx, g, a, req, ret);
    if (st != OK)
        return st;
    count(g, req, ret);
    if (ret->verdict == GATE_QUOTA_SPENT && !req->dry_run)
        note_spent(g, a, ret);
    return OK;
}

enum status
quota_gate_charge(struct ctx *ctx, const struct quota_charge *in, struct gate_decision *ret,
                  const struct gate_limit **ret_limits, size_t *ret_limit_count)
{
    struct quota_gate *g = gate_of(ctx->reactor);
    struct gate_limit *limits = arena_new_n(ctx->arena, struct gate_limit, GATE_MAX_LIMITS);
    struct gate_account *a = gate_account_get(g, in->account_id);
    size_t n = 0;
    enum status st = gate_know_limits(ctx, a);
    if (st == OK) {
        if (in->account_limits)
            n = plan_limits(ctx->arena, &a->limits, in->key_id, limits);
        for (size_t i = 0; i < in->limit_count && n < GATE_MAX_LIMITS; i++)
            limits[n++] = in->limits[i];
        struct gate_request req = {
            .account_id = in->account_id,
            .cost = in->cost,
            .charge_quota = in->charge_quota,
            .dry_run = in->dry_run,
            .plan_only = in->limit_count == 0,
            .limits = limits,
            .limit_count = n,
            .method = in->method,
        };
        st = charge(ctx, g, a, &req, ret);
        *ret_limits = limits;
        *ret_limit_count = n;
    }
    gate_account_put(a);
    return st;
}

void
quota_gate_undo(struct ctx *ctx, const struct quota_charge *in, const struct gate_decision *decided)
{
    struct quota_gate *g = gate_of(ctx->reactor);
    struct gate_account *a = gate_account_get(g, in->account_id);
    struct gate_request req = {.account_id = in->account_id, .run = g->run, .method = in->method};
    if (gate_undo(ctx->reactor, ctx->arena, a, &req, decided, in->cost))
        GATE_ADD(g, given_back, 1);
    gate_account_put(a);
}

enum status
quota_gate_flush(struct ctx *ctx, int64_t account_id)
{
    struct quota_gate *g = gate_of(ctx->reactor);
    struct gate_account *a = gate_account_get(g, account_id);
    enum status st = gate_sync(ctx, g, a, false);
    gate_account_put(a);
    return st;
}

/* ---- the interceptor ------------------------------------------------------------------------ */

/* The limiter is away: the method's policy says what happens. */
static enum status
when_away(struct call *call, struct quota_gate *g, enum status st)
{
    struct ctx *ctx = &call->ctx;
    if (st == CANCELLED || st == DEADLINE_EXCEEDED || ctx->error.reason == REASON_ACCOUNT_NOT_FOUND)
        return st;
    bool settling = ctx->error.reason == REASON_CACHE_UNAVAILABLE &&
                    redis_is_ready(reactor_slot(g->reactor, SLOT_CACHE));
    bool open = call->method->policy.fail_open && !settling;
    nsec_t now = clock_now();
    if (g->logged_at == 0 || now - g->logged_at >= SEC(1)) {
        g->logged_at = now;
        log_warning("the limiter is away", log_str("method", call->method->name),
                    log_str("calls", open ? "let through" : "refused"),
                    log_str("why", ctx->error.message));
    }
    if (!open) {
        GATE_ADD(g, away_closed, 1);
        return st;
    }
    GATE_ADD(g, away_open, 1);
    fail_clear(ctx);
    return OK;
}

static enum status
gate_begin(struct call *call, size_t slot)
{
    struct ctx *ctx = &call->ctx;
    struct quota_gate *g = gate_of(ctx->reactor);
    int64_t cost = call->method->policy.cost;
    gate_slot = slot;
    if (cost == 0 || !gate_settings.on || !g || ctx->who.account_id == 0)
        return OK;
    struct gate_call *c = arena_alloc_raw(ctx->arena, sizeof(*c));
    memset(c, 0, offsetof(struct gate_call, decision));
    list_init(&c->link);
    c->account = gate_account_get(g, ctx->who.account_id);
    call->interceptor_data[slot] = c;
    enum status st = gate_know_limits(ctx, c->account);
    if (st != OK)
        return when_away(call, g, st);
    c->req = (struct gate_request){
        .account_id = ctx->who.account_id,
        .cost = cost,
        .charge_quota = true,
        .plan_only = true,
        .limits = c->limits,
        .limit_count = plan_limits(ctx->arena, &c->account->limits, ctx->who.key_id, c->limits),
        .method = call->method->path,
        .max_calls = c->account->limits.concurrent_calls,
        .lease = GATE_CALL_LEASE,
    };
    if (c->req.max_calls > 0)
        c->req.call_id = arena_printf(ctx->arena, "%llx-%llx", (unsigned long long)g->actor_id,
                                      (unsigned long long)++g->call_no);
    st = charge(ctx, g, c->account, &c->req, &c->decision);
    if (st != OK)
        return when_away(call, g, st);
    c->decided = true;
    if (c->decision.verdict != GATE_ADMITTED)
        return quota_gate_refuse(ctx, c->req.account_id, cost, &c->decision, c->limits);
    c->taken = call->charged = cost;
    if (c->req.max_calls > 0) {
        c->holds_place = true;
        c->lease_until = clock_now() + GATE_CALL_LEASE;
        list_push(&g->calls, &c->link);
    }
    return OK;
}

enum status
quota_gate_measure(struct call *call, int64_t units)
{
    struct ctx *ctx = &call->ctx;
    struct quota_gate *g = gate_of(ctx->reactor);
    struct gate_call *c = g ? call->interceptor_data[gate_slot] : NULL;
    if (!c || !c->decided || units <= 0)
        return OK;
    struct gate_request more = c->req;
    struct gate_decision d;
    more.cost = units;
    more.max_calls = 0;
    enum status st = charge(ctx, g, c->account, &more, &d);
    if (st != OK)
        return when_away(call, g, st);
    c->decision = d;
    if (d.verdict != GATE_ADMITTED)
        return quota_gate_refuse(ctx, c->req.account_id, units, &d, c->limits);
    c->taken += units;
    call->charged = c->taken;
    return OK;
}

/* True when the call failed for reasons that are not its caller's. */
static bool
is_our_fault(const struct error *e, enum status st)
{
    switch (e->reason) {
    case REASON_DB_UNAVAILABLE:
    case REASON_DB_TIMEOUT:
    case REASON_DB_CONFLICT:
    case REASON_CACHE_UNAVAILABLE:
    case REASON_SHUTTING_DOWN:
    case REASON_DISK_FULL:
    case REASON_OVERLOADED:
    case REASON_INTERNAL_ERROR:
    case REASON_QUOTA_SPENT: /* the measured rest did not fit: nothing was done */
    case REASON_RATE_LIMITED:
        return true;
    default:
        return st == INTERNAL || st == UNAVAILABLE || st == UNKNOWN || st == DATA_LOSS;
    }
}

static void
gate_end(struct call *call, size_t slot, enum status st)
{
    struct ctx *ctx = &call->ctx;
    struct gate_call *c = call->interceptor_data[slot];
    if (!c)
        return;
    list_remove(&c->link);
    if (c->holds_place)
        gate_release_call(ctx->reactor, ctx->arena, c->req.account_id, c->req.call_id);
    if (c->taken > 0 && st != OK && is_our_fault(&ctx->error, st)) {
        struct quota_gate *g = gate_of(ctx->reactor);
        c->req.run = g->run;
        if (gate_undo(ctx->reactor, ctx->arena, c->account, &c->req, &c->decision, c->taken))
            GATE_ADD(g, given_back, 1);
        c->decision.quota_remaining += c->taken;
        c->taken = call->charged = 0;
    }
    if (c->decided)
        gate_answer_headers(call, c->account, &c->req, &c->decision, c->taken);
    gate_account_put(c->account);
}

const struct interceptor quota_gate_interceptor = {
    .name = "quota_gate", .begin = gate_begin, .end = gate_end};

/* ---- metrics -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *labels;
    const char *help; /* NULL: same family as the row before */
    size_t offset;
} rows[] = {
#define ROW(name, labels, help, member)                           \
    {                                                             \
        name, labels, help, offsetof(struct gate_numbers, member) \
    }
    ROW("luna_quota_decisions_total", "verdict=\"admitted\"", "Decisions of the gate.", admitted),
    ROW("luna_quota_decisions_total", "verdict=\"quota\"", NULL, refused_quota),
    ROW("luna_quota_decisions_total", "verdict=\"rate\"", NULL, refused_rate),
    ROW("luna_quota_decisions_total", "verdict=\"concurrent\"", NULL, refused_calls),
    ROW("luna_quota_decisions_total", "verdict=\"settling\"", NULL, refused_settling),
    ROW("luna_quota_dry_refusals_total", "",
        "Decisions in which a limit that only reports would have refused.", would_refuse),
    ROW("luna_quota_away_total", "calls=\"admitted\"", "Calls while the limiter was away.",
        away_open),
    ROW("luna_quota_away_total", "calls=\"refused\"", NULL, away_closed),
    ROW("luna_quota_given_back_total", "", "Charges given back.", given_back),
    ROW("luna_quota_loads_total", "", "Epochs put into Redis.", loads),
    ROW("luna_quota_flushes_total", "", "Flushes that reached Postgres.", flushes),
    ROW("luna_quota_flushed_units_total", "", "Units that reached Postgres.", flushed_units),
    ROW("luna_quota_flush_failures_total", "", "Flushes that failed and are tried again.",
        flush_failures),
    ROW("luna_quota_retired_total", "", "Grants given back by quiet accounts.", retired),
    ROW("luna_quota_reports_total", "", "Reports of epochs that Redis has lost.", reports),
    ROW("luna_quota_questions_total", "", "Questions to Redis, each about one call or several.",
        questions),
    ROW("luna_quota_leases_total", "", "Local leases taken.", leases),
    ROW("luna_quota_leased_total", "", "Decisions made by a local lease.", leased),
#undef ROW
};

void
quota_gate_metrics(struct buf *out)
{
    struct latency_total decided = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t sum = 0;
        for (size_t r = 0; r < MAX_REACTORS; r++) {
            struct quota_gate *g = atomic_load(&gates[r]);
            if (g)
                sum += atomic_load_explicit(
                    (atomic_uint_fast64_t *)(void *)((char *)&g->numbers + rows[i].offset),
                    memory_order_relaxed);
        }
        if (rows[i].help)
            metrics_family(out, rows[i].name, "counter", rows[i].help);
        metrics_u64(out, rows[i].name, rows[i].labels, sum);
    }
    for (size_t r = 0; r < MAX_REACTORS; r++) {
        struct quota_gate *g = atomic_load(&gates[r]);
        if (g)
            latency_add(&decided, &g->decided);
    }
    metrics_family(out, "luna_quota_decision_seconds", "histogram",
                   "How long callers waited for decisions of Redis; 0 for those of a local lease.");
    metrics_latency(out, "luna_quota_decision_seconds", "", &decided);
}
