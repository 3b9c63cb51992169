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
#define LEASE_TIME   MSEC(100)
#define LEASE_ROOM   64 /* a lease is taken while this many of them fit */

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
    };
}

void
quota_gate_attach(struct reactor *r)
{
    struct quota_gate *g = calloc(1, sizeof(*g));
    ASSERT(g);
    g->reactor = r;
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
    gate_sync_fini(g);
    reactor_set_slot(r, SLOT_EDGE, NULL);
    free(g);
}

/* ---- deciding ------------------------------------------------------------------------------- */

/* The limits of the account's plan. Returns how many. */
static size_t
plan_limits(struct arena *arena, const struct gate_limits *p, int64_t key_id,
            struct gate_limit out[2])
{
    size_t n = 0;
    if (p->account_capacity > 0)
        out[n++] =
            (struct gate_limit){"account", p->account_capacity, p->account_unit_us, p->report_only};
    if (p->key_capacity > 0 && key_id != 0)
        out[n++] = (struct gate_limit){arena_printf(arena, "key:%lld", (long long)key_id),
                                       p->key_capacity, p->key_unit_us, p->report_only};
    return n;
}

/* Takes a lease for an account that is busy here, and spends from it. False: no lease. */
static bool
spend_lease(struct quota_gate *g, struct gate_account *a, const struct gate_request *req,
            struct gate_decision *ret)
{
    struct gate_lease *l = &a->lease;
    if (l->units < req->cost || reactor_now(g->reactor) >= l->until || req->dry_run ||
        req->max_calls > 0 || !req->charge_quota || req->limit_count != l->limit_count)
        return false;
    l->units -= req->cost;
    *ret = l->as_of;
    ret->quota_remaining += l->units;
    for (size_t i = 0; i < req->limit_count; i++)
        ret->limits[i].remaining += l->units;
    GATE_ADD(g, leased, 1);
    return true;
}

static bool
wants_lease(const struct gate_account *a, const struct gate_request *req,
            const struct gate_decision *last)
{
    int64_t n = gate_settings.lease;
    if (n <= req->cost || !req->charge_quota || req->dry_run || req->max_calls > 0 ||
        a->lease.units > 0 || a->spent < n || last->epoch == 0 ||
        last->quota_remaining < n * LEASE_ROOM)
        return false;
    for (size_t i = 0; i < req->limit_count; i++)
        if (last->limits[i].remaining < 2 * n ||
            str_starts(str_of(req->limits[i].name), STR("key:")))
            return false; /* the lease is the account's: a key's rate cannot be leased with it */
    return true;
}

/* Something stands in the way that can be mended: mends it, so that the question may be asked
 * again. *ret_again false: the verdict stands. */
static enum status
mend(struct ctx *ctx, struct quota_gate *g, struct gate_account *a, const struct gate_decision *d,
     int tries, bool *ret_again)
{
    *ret_again = true;
    switch (d->verdict) {
    case GATE_NOT_LOADED:
        return gate_open(ctx, g, a, d->now, 0);
    case GATE_PERIOD_OVER: {
        enum status st = gate_sync(ctx, g, a, false);
        return st == OK ? gate_open(ctx, g, a, clock_wall_us(), d->epoch) : st;
    }
    case GATE_NEEDS_GRANT: {
        if (tries > SETTLE_TRIES) {
            GATE_ADD(g, refused_settling, 1);
            return fail(ctx, CACHE_UNAVAILABLE, "the quota is being settled, try again");
        }
        enum status st = gate_sync(ctx, g, a, false);
        return st == OK && tries > 0 ? fiber_sleep(ctx, SETTLE_PAUSE) : st;
    }
    case GATE_QUOTA_SPENT:
        if (tries == 0 && (a->synced_at == 0 || clock_now() - a->synced_at >= REFRESH))
            return gate_sync(ctx, g, a, false);
        break;
    case GATE_ADMITTED:
    case GATE_RATE_LIMITED:
    case GATE_TOO_MANY_CALLS:
        break;
    }
    *ret_again = false;
    return OK;
}

/* An answer for an epoch that we have reported does not count: Redis has lost it since. */
static bool
is_dead(const struct gate_account *a, const struct gate_request *req, const struct gate_decision *d)
{
    return req->charge_quota && d->epoch != 0 && d->epoch <= a->dead_epoch;
}

static enum status
ask(struct ctx *ctx, struct quota_gate *g, struct gate_account *a, struct gate_request *req,
    struct gate_decision *ret)
{
    int settling = 0;
    for (;;) {
        bool again = false;
        enum status st = gate_know_run(ctx, g);
        if (st == OK)
            st = gate_know_actor(ctx, g);
        req->run = g->run;
        if (st == OK)
            st = gate_decide(ctx, req, ret);
        if (st != OK)
            return st;
        if (ret->epoch > a->seen_epoch)
            a->seen_epoch = ret->epoch;
        if (is_dead(a, req, ret)) {
            st = fiber_sleep(ctx, SETTLE_PAUSE);
            again = true;
        } else {
            st = mend(ctx, g, a, ret, settling, &again);
            settling += ret->verdict == GATE_NEEDS_GRANT || ret->verdict == GATE_QUOTA_SPENT;
        }
        if (st != OK || !again)
            return st;
    }
}

static void
note(struct quota_gate *g, struct gate_account *a, const struct gate_request *req,
     const struct gate_decision *d, int64_t units)
{
    if (d->verdict != GATE_ADMITTED || req->dry_run)
        return;
    a->used_at = reactor_now(g->reactor);
    if (!req->charge_quota || units == 0)
        return;
    gate_ledger_add(a, d, req->method, units);
    gate_account_dirty(g, a);
    a->spent += units;
    if (a->spent >= gate_settings.chunk / 4)
        gate_tick_now(g);
}

/* What is left of a lease whose time is over goes back. */
static void
return_lease(struct ctx *ctx, struct gate_account *a, const struct gate_request *req)
{
    struct gate_lease *l = &a->lease;
    int64_t units = l->units;
    int64_t flush = 0;
    l->units = 0;
    struct gate_decision d = l->as_of;
    if (gate_give_back(ctx, req, &d, units, &flush) != OK || flush == 0)
        return;
    d.flush = flush;
    gate_ledger_add(a, &d, req->method, -units);
    a->spent -= units;
}

/* Asks Redis, for a lease when the account is busy and there is room. */
static enum status
decide(struct ctx *ctx, struct quota_gate *g, struct gate_account *a, struct gate_request *req,
       struct gate_decision *ret)
{
    if (gate_settings.lease > 0) {
        if (spend_lease(g, a, req, ret))
            return OK;
        req->run = g->run;
        if (a->lease.units > 0)
            return_lease(ctx, a, req);
        if (wants_lease(a, req, &a->lease.as_of)) {
            int64_t cost = req->cost;
            req->cost = gate_settings.lease;
            enum status st = ask(ctx, g, a, req, ret);
            if (st == OK && ret->verdict == GATE_ADMITTED) {
                note(g, a, req, ret, req->cost);
                a->lease = (struct gate_lease){*ret, req->cost - cost, clock_now() + LEASE_TIME,
                                               req->limit_count};
                GATE_ADD(g, leases, 1);
                req->cost = cost;
                return OK;
            }
            req->cost = cost;
            if (st != OK)
                return st;
        }
    }
    enum status st = ask(ctx, g, a, req, ret);
    if (st == OK) {
        note(g, a, req, ret, req->cost);
        if (a->lease.units == 0)
            a->lease.as_of = *ret;
    }
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
charge(struct ctx *ctx, struct quota_gate *g, struct gate_account *a, struct gate_request *req,
       struct gate_decision *ret)
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

/* On a context of its own: the caller's may be cancelled. */
static void
give_back(struct reactor *r, struct arena *arena, struct gate_account *a,
          const struct gate_request *req, const struct gate_decision *decided, int64_t units)
{
    struct quota_gate *g = gate_of(r);
    struct gate_decision d = *decided;
    struct ctx ctx;
    int64_t flush = 0;
    ctx_init(&ctx, arena, r);
    ctx.deadline = clock_now() + SEC(2);
    if (gate_give_back(&ctx, req, &d, units, &flush) == OK && flush != 0) {
        d.flush = flush;
        gate_ledger_add(a, &d, req->method, -units);
        gate_account_dirty(g, a);
        a->spent -= units;
        GATE_ADD(g, given_back, 1);
    } else if (d.epoch > a->dead_epoch) {
        /* Redis has lost it; what we are going to report must not hold it. */
        gate_ledger_add(a, &d, req->method, -units);
    }
    ctx_fini(&ctx);
}

void
quota_gate_undo(struct ctx *ctx, const struct quota_charge *in, const struct gate_decision *decided)
{
    struct quota_gate *g = gate_of(ctx->reactor);
    struct gate_account *a = gate_account_get(g, in->account_id);
    struct gate_request req = {.account_id = in->account_id, .run = g->run, .method = in->method};
    give_back(ctx->reactor, ctx->arena, a, &req, decided, in->cost);
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
    struct gate_call *c = arena_new(ctx->arena, struct gate_call);
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
        give_back(ctx->reactor, ctx->arena, c->account, &c->req, &c->decision, c->taken);
        c->decision.quota_remaining += c->taken;
        c->taken = call->charged = 0;
    }
    if (c->decided)
        gate_answer_headers(call, &c->req, &c->decision, c->taken);
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
    ROW("luna_quota_leases_total", "", "Local leases taken.", leases),
    ROW("luna_quota_leased_total", "", "Decisions made by a local lease.", leased),
#undef ROW
};

void
quota_gate_metrics(struct buf *out)
{
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
}
