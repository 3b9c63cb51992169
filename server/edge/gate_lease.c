/*
 * Leases: a reactor takes units of busy calls at once - of their quota and of all their rates - and
 * decides without Redis while they last. What is taken is charged, so the limit holds; what is not
 * spent in time goes back.
 *
 * A unit is spent at most 2 LEASE_TIME after its limits were charged for it: it lasts LEASE_TIME,
 * and what is left of it when half is spent lasts as long as the next lease. So a rate of c at once
 * and one every p admits at most c + (w + 2 LEASE_TIME) / p in any window w; and a lease is at most
 * the RATE_ROOMth part of c.
 */
#include <stdlib.h>

#include "edge/gate_state.h"

#define LEASE_TIME  MSEC(100)
#define LEASE_QUICK MSEC(25) /* one that is half spent sooner is followed by a larger one */
#define LEASE_FIRST 16       /* the part of the largest one that is taken first */
#define QUOTA_ROOM  64       /* a lease is not more than this part of the quota's rest */
#define RATE_ROOM   64       /* nor than this part of a rate's burst */
#define COST_ROOM   4        /* and it serves so many calls at least */
#define KINDS       8        /* of an account's calls that are watched at once */
#define QUIET       SEC(1)   /* a kind that has not been called for so long is forgotten */

/* ---- the kinds of calls ---------------------------------------------------------------------- */

static bool
could_lease(const struct gate_request *req)
{
    return req->plan_only && !req->dry_run && req->max_calls == 0 && req->charge_quota &&
           req->cost >= 1 && req->cost * COST_ROOM <= gate_settings.lease;
}

/* Units of the smallest one that serves such calls. */
static int64_t
least_size(int64_t cost)
{
    int64_t first = gate_settings.lease / LEASE_FIRST;
    return first > cost * COST_ROOM ? first : cost * COST_ROOM;
}

static struct gate_lease *
find(const struct gate_account *a, const struct gate_request *req)
{
    list_foreach (it, &a->leases) {
        struct gate_lease *l = container_of(it, struct gate_lease, of_account);
        if (l->kind.method == req->method && gate_same_limits(&l->kind, req))
            return l;
    }
    return NULL;
}

static bool
is_quiet(const struct gate_lease *l, nsec_t now)
{
    return l->units == 0 && !l->taking && !l->returning && now - l->used_at >= QUIET;
}

static void
forget(struct gate_lease *l)
{
    list_remove(&l->of_account);
    list_remove(&l->link);
    l->account->lease_count--;
    gate_account_put(l->account);
    free(l);
}

/* From now on the kind of the request is watched. NULL: too many are, or the account has too little
 * for any lease. */
static struct gate_lease *
watch(struct quota_gate *g, struct gate_account *a, const struct gate_request *req)
{
    nsec_t now = reactor_now(g->reactor);
    if (a->seen_left / QUOTA_ROOM < least_size(req->cost))
        return NULL;
    if (a->lease_count >= KINDS) {
        struct gate_lease *first = container_of(a->leases.next, struct gate_lease, of_account);
        if (!is_quiet(first, now)) {
            /* Another one is looked at next time. */
            list_remove(&first->of_account);
            list_push(&a->leases, &first->of_account);
            return NULL;
        }
        forget(first);
    }
    struct gate_lease *l = calloc(1, sizeof(*l));
    ASSERT(l);
    ASSERT(req->limit_count <= GATE_PLAN_LIMITS);
    gate_keep_limits(req, l->limits, l->names[0], sizeof(l->names[0]));
    l->kind = (struct gate_request){
        .account_id = req->account_id,
        .charge_quota = true,
        .plan_only = true,
        .limits = l->limits,
        .limit_count = req->limit_count,
        .method = req->method,
    };
    l->account = a;
    l->asked_since = l->used_at = now;
    cond_init(&l->taken);
    list_push(&a->leases, &l->of_account);
    list_push(&g->leases, &l->link);
    a->lease_count++;
    a->users++;
    return l;
}

/* ---- spending -------------------------------------------------------------------------------- */

static bool
spend(struct quota_gate *g, struct gate_lease *l, const struct gate_request *req,
      struct gate_decision *ret)
{
    l->used_at = reactor_now(g->reactor);
    if (l->units < req->cost || l->used_at >= l->until)
        return false;
    l->units -= req->cost;
    /* No more of it than there is: the rest is most of it. */
    memcpy(ret, &l->as_of, offsetof(struct gate_decision, limits));
    ret->quota_remaining += l->units;
    for (size_t i = 0; i < req->limit_count; i++) {
        ret->limits[i] = l->as_of.limits[i];
        ret->limits[i].remaining += l->units;
    }
    GATE_ADD(g, leased, 1);
    return true;
}

/* The most units that the next lease may have: what is left is enough for many such, and all of the
 * account's together are not larger than one. */
static int64_t
room_for(const struct gate_lease *l)
{
    const struct gate_account *a = l->account;
    int64_t n = gate_settings.lease;
    list_foreach (it, &a->leases) {
        const struct gate_lease *other = container_of(it, struct gate_lease, of_account);
        n -= other == l ? 0 : other->units;
    }
    if (n > a->seen_left / QUOTA_ROOM)
        n = a->seen_left / QUOTA_ROOM;
    for (size_t i = 0; i < l->kind.limit_count; i++)
        if (n > l->limits[i].capacity / RATE_ROOM)
            n = l->limits[i].capacity / RATE_ROOM;
    return n;
}

/* Units of the next lease, 0: none. Twice the last one while those are spent quickly, so that a
 * burst soon has what it needs and a slow caller holds little. */
static int64_t
next_size(const struct gate_lease *l, int64_t cost, nsec_t now)
{
    int64_t least = least_size(cost);
    int64_t room = room_for(l);
    int64_t n = l->size;
    if (now < l->not_before || room < least)
        return 0;
    if (now - l->taken_at < LEASE_QUICK)
        n *= 2;
    if (n < least)
        n = least;
    return n < room ? n : room;
}

/* Whether such calls are so many that the next one should be taken. */
static bool
wants(struct gate_lease *l, const struct gate_request *req, nsec_t now)
{
    int64_t n = next_size(l, req->cost, now);
    if (n > 0 && (l->size > 0 || l->asked >= n / 2))
        return true;
    if (now - l->asked_since >= QUIET) {
        l->asked = 0;
        l->asked_since = now;
    }
    l->asked += req->cost;
    return false;
}

/* ---- taking and giving back ------------------------------------------------------------------ */

/* What is left of it goes back. */
static void
give_rest(struct quota_gate *g, struct gate_lease *l, struct arena *arena)
{
    struct gate_decision taken = l->as_of;
    struct gate_request req = l->kind;
    int64_t units = l->units;
    req.run = g->run;
    l->units = 0;
    if (units > 0)
        (void)gate_undo(g->reactor, arena, l->account, &req, &taken, units);
}

/* What was taken joins what is left when that is not old, and both can go back as one. */
static void
put(struct quota_gate *g, struct gate_lease *l, struct arena *arena, const struct gate_decision *d,
    int64_t units)
{
    if (l->as_of.epoch != d->epoch || l->as_of.day != d->day || clock_now() >= l->until)
        give_rest(g, l, arena);
    l->as_of = *d;
    l->units += units;
    l->size = units;
    l->asked = 0;
    l->taken_at = clock_now();
    l->until = l->taken_at + LEASE_TIME;
    GATE_ADD(g, leases, 1);
}

static bool
take_some(struct ctx *ctx, struct quota_gate *g, struct gate_lease *l, int64_t cost)
{
    struct gate_request more = l->kind;
    struct gate_limit strict[GATE_PLAN_LIMITS];
    struct gate_decision d;
    bool dead = false;
    /* A limit that only reports tells of calls, not of leases: where one does not fit, each call
     * asks. */
    for (size_t i = 0; i < more.limit_count; i++) {
        strict[i] = l->limits[i];
        strict[i].report_only = false;
    }
    more.limits = strict;
    more.cost = next_size(l, cost, clock_now());
    if (more.cost == 0 || gate_know_run(ctx, g) != OK || gate_know_actor(ctx, g) != OK ||
        gate_ask(ctx, g, l->account, &more, &d, &dead) != OK || dead || d.verdict != GATE_ADMITTED)
        return false;
    put(g, l, ctx->arena, &d, more.cost);
    return true;
}

static void
take(struct ctx *ctx, struct quota_gate *g, struct gate_lease *l, int64_t cost)
{
    if (!take_some(ctx, g, l, cost)) {
        fail_clear(ctx); /* who asks Redis now is told why */
        l->size = 0;
        l->not_before = clock_now() + LEASE_TIME;
    }
    l->taking = false;
    cond_broadcast(&l->taken);
}

struct renewal {
    struct quota_gate *gate;
    struct gate_lease *lease; /* it stays while it is taken */
    int64_t cost;
};

static void
renew_main(void *arg)
{
    struct renewal *r = arg;
    struct arena arena;
    struct ctx ctx;
    arena_init(&arena, 0);
    ctx_init(&ctx, &arena, r->gate->reactor);
    ctx.deadline = clock_now() + SEC(2);
    take(&ctx, r->gate, r->lease, r->cost);
    r->gate->renewals--;
    ctx_fini(&ctx);
    arena_fini(&arena);
    free(r);
}

/* Half of it is gone: the next one is taken before anybody has to wait for it. */
static void
renew(struct quota_gate *g, struct gate_lease *l, const struct gate_request *req)
{
    if (l->units > l->size / 2 || l->taking || g->closing ||
        next_size(l, req->cost, reactor_now(g->reactor)) == 0)
        return;
    struct renewal *r = malloc(sizeof(*r));
    ASSERT(r);
    *r = (struct renewal){.gate = g, .lease = l, .cost = req->cost};
    if (!fiber_spawn(g->reactor, renew_main, r)) {
        free(r);
        return;
    }
    l->taking = true;
    g->renewals++;
}

bool
gate_lease_spend(struct ctx *ctx, struct quota_gate *g, struct gate_account *a,
                 const struct gate_request *req, struct gate_decision *ret)
{
    if (!could_lease(req))
        return false;
    for (;;) {
        struct gate_lease *l = find(a, req);
        if (!l)
            l = watch(g, a, req);
        if (!l)
            return false;
        if (spend(g, l, req, ret)) {
            renew(g, l, req);
            return true;
        }
        if (l->taking) {
            if (cond_wait(&l->taken, ctx) != OK) {
                fail_clear(ctx);
                return false;
            }
            continue;
        }
        if (!wants(l, req, reactor_now(g->reactor)))
            return false;
        l->taking = true;
        take(ctx, g, l, req->cost);
    }
}

void
gate_leases_return(struct quota_gate *g, struct arena *arena, bool all)
{
    struct list now;
    struct list *it;
    list_init(&now);
    list_splice(&now, &g->leases);
    while ((it = list_pop(&now))) {
        struct gate_lease *l = container_of(it, struct gate_lease, link);
        list_push(&g->leases, it);
        if (l->taking || (!all && clock_now() < l->until))
            continue;
        l->size = 0;
        l->returning = true; /* it stays */
        give_rest(g, l, arena);
        l->returning = false;
        if (is_quiet(l, all ? NSEC_NEVER : clock_now()))
            forget(l);
    }
}
