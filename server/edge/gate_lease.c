/*
 * Leases: a reactor takes units of a busy account at once, and decides without Redis while they
 * last. What is taken is charged, so the limit holds; what is not spent in time goes back.
 */
#include <stdlib.h>

#include "edge/gate_state.h"

#define LEASE_TIME  MSEC(100)
#define LEASE_QUICK MSEC(25) /* one that is half spent sooner is followed by a larger one */
#define LEASE_FIRST 16       /* the part of the largest one that is taken first */
#define LEASE_ROOM  64       /* a lease is taken while the quota holds this many of them */
#define RATE_ROOM   4        /* and the burst of the account's rate that many */
#define COST_ROOM   4        /* and it serves so many calls at least */

static bool
could_lease(const struct gate_request *req)
{
    if (req->dry_run || req->max_calls > 0 || !req->charge_quota || req->cost < 1 ||
        req->cost * COST_ROOM > gate_settings.lease || req->limit_count > 1)
        return false;
    return req->limit_count == 0 || strcmp(req->limits[0].name, "account") == 0;
}

static bool
same_limit(const struct gate_lease *l, const struct gate_request *req)
{
    const struct gate_limit *m = &req->limits[0];
    if (l->limit_count != req->limit_count)
        return false;
    return req->limit_count == 0 ||
           (l->limit.capacity == m->capacity && l->limit.unit_us == m->unit_us &&
            l->limit.report_only == m->report_only);
}

static bool
covers(const struct gate_lease *l, const struct gate_request *req, nsec_t now)
{
    return l->units >= req->cost && now < l->until && l->method == req->method &&
           same_limit(l, req);
}

static bool
spend(struct quota_gate *g, struct gate_account *a, const struct gate_request *req,
      struct gate_decision *ret)
{
    struct gate_lease *l = &a->lease;
    if (!covers(l, req, reactor_now(g->reactor)))
        return false;
    l->units -= req->cost;
    if (l->units == 0)
        list_remove(&l->link);
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

/* Units of the next lease: twice the last one while those are spent quickly, so that a burst soon
 * has what it needs and a slow caller holds little. */
static int64_t
next_size(const struct gate_lease *l, const struct gate_request *req, nsec_t now)
{
    int64_t n = l->size;
    if (n == 0)
        n = gate_settings.lease / LEASE_FIRST;
    else if (now - l->taken_at < LEASE_QUICK)
        n *= 2;
    if (n < req->cost * COST_ROOM)
        n = req->cost * COST_ROOM;
    return n < gate_settings.lease ? n : gate_settings.lease;
}

/* Whether the account has enough for another lease. */
static bool
has_room(const struct gate_account *a, const struct gate_request *req, nsec_t now)
{
    int64_t n = next_size(&a->lease, req, now);
    return now >= a->lease.not_before && a->seen_left >= n * LEASE_ROOM &&
           (req->limit_count == 0 || req->limits[0].capacity >= n * RATE_ROOM);
}

/* Whether it is busy enough for one, and has enough. */
static bool
wants(const struct gate_account *a, const struct gate_request *req, nsec_t now)
{
    const struct gate_lease *l = &a->lease;
    if (l->units > 0 && now < l->until && (l->method != req->method || l->units >= req->cost))
        return false; /* somebody else's */
    return (l->size > 0 || a->spent >= next_size(l, req, now) / 2) && has_room(a, req, now);
}

/* What is left of the account's lease goes back. */
static void
give_rest(struct quota_gate *g, struct gate_account *a, struct arena *arena)
{
    struct gate_lease *l = &a->lease;
    struct gate_decision taken = l->as_of;
    struct gate_limit limit = l->limit;
    const struct gate_request req = {
        .account_id = a->account_id,
        .method = l->method,
        .run = g->run,
        .limits = &limit,
        .limit_count = l->limit_count,
    };
    int64_t units = l->units;
    l->units = 0;
    list_remove(&l->link);
    if (units > 0)
        (void)gate_undo(g->reactor, arena, a, &req, &taken, units);
}

/* What was taken joins what is left when both can go back as one. */
static void
put(struct quota_gate *g, struct gate_account *a, struct arena *arena,
    const struct gate_request *req, const struct gate_decision *d, int64_t units)
{
    struct gate_lease *l = &a->lease;
    const struct gate_limit *m = req->limits;
    if (l->units > 0 && (l->method != req->method || !same_limit(l, req) ||
                         l->as_of.epoch != d->epoch || l->as_of.day != d->day))
        give_rest(g, a, arena);
    if (req->limit_count > 0)
        l->limit = (struct gate_limit){"account", m->capacity, m->unit_us, m->report_only};
    l->limit_count = req->limit_count;
    l->method = req->method;
    l->as_of = *d;
    l->units += units;
    l->size = units;
    l->taken_at = clock_now();
    l->until = l->taken_at + LEASE_TIME;
    list_remove(&l->link);
    list_push(&g->leases, &l->link);
    GATE_ADD(g, leases, 1);
}

static void
take(struct ctx *ctx, struct quota_gate *g, struct gate_account *a, const struct gate_request *req)
{
    struct gate_lease *l = &a->lease;
    struct gate_request more = *req;
    struct gate_decision d;
    bool dead = false;
    more.cost = next_size(l, req, clock_now());
    enum status st = gate_know_run(ctx, g);
    if (st == OK)
        st = gate_know_actor(ctx, g);
    if (st == OK)
        st = gate_ask(ctx, g, a, &more, &d, &dead);
    if (st == OK && !dead && d.verdict == GATE_ADMITTED) {
        put(g, a, ctx->arena, req, &d, more.cost);
    } else {
        fail_clear(ctx); /* who asks Redis now is told why */
        l->size = 0;
        l->not_before = clock_now() + LEASE_TIME;
    }
    l->taking = false;
    cond_broadcast(&l->taken);
}

/* ---- before it is spent -----------------------------------------------------------------------
 */

struct renewal {
    struct quota_gate *gate;
    struct gate_account *account;
    struct gate_request req;
    struct gate_limit limit;
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
    take(&ctx, r->gate, r->account, &r->req);
    gate_account_put(r->account);
    r->gate->renewals--;
    ctx_fini(&ctx);
    arena_fini(&arena);
    free(r);
}

/* Half of it is gone: the next one is taken before anybody has to wait for it. */
static void
renew(struct quota_gate *g, struct gate_account *a, const struct gate_request *req)
{
    struct gate_lease *l = &a->lease;
    if (l->units > l->size / 2 || l->taking || g->closing ||
        !has_room(a, req, reactor_now(g->reactor)))
        return;
    struct renewal *r = malloc(sizeof(*r));
    ASSERT(r);
    *r = (struct renewal){.gate = g, .account = a, .req = *req, .limit = l->limit};
    r->req.limits = &r->limit;
    if (!fiber_spawn(g->reactor, renew_main, r)) {
        free(r);
        return;
    }
    l->taking = true;
    a->users++;
    g->renewals++;
}

bool
gate_lease_spend(struct ctx *ctx, struct quota_gate *g, struct gate_account *a,
                 const struct gate_request *req, struct gate_decision *ret)
{
    struct gate_lease *l = &a->lease;
    if (!could_lease(req))
        return false;
    while (!spend(g, a, req, ret)) {
        if (!l->taking && !wants(a, req, reactor_now(g->reactor)))
            return false;
        if (l->taking) {
            if (cond_wait(&l->taken, ctx) != OK) {
                fail_clear(ctx);
                return false;
            }
            continue;
        }
        l->taking = true;
        take(ctx, g, a, req);
    }
    renew(g, a, req);
    return true;
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
        struct gate_account *a = container_of(l, struct gate_account, lease);
        if (!all && clock_now() < l->until) {
            list_push(&g->leases, it);
            continue;
        }
        a->users++;
        l->size = 0;
        give_rest(g, a, arena);
        gate_account_put(a);
    }
}
