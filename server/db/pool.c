/*
 * What goes to which connection, and when.
 *
 * Reads of one turn share a Sync; each write has its own. A group goes whole to the connection with
 * the least under way, where a write counts for several reads: its commit waits for the disk.
 */
#include "db/pool.h"

#include <stdlib.h>

#include "db/catalog.h"
#include "db/lease.h"
#include "db/listen.h"

#define READS_PER_SYNC 64
#define WRITE_WEIGHT   8
#define LEASE_IDLE     SEC(60)

void
pool_ref(struct pool *p)
{
    p->refs++;
}

void
pool_unref(struct pool *p)
{
    struct list *n;

    if (--p->refs > 0)
        return;
    while ((n = list_pop(&p->free_requests)))
        free(container_of(n, struct request, link));
    for (size_t i = 0; i < p->n_plans; i++)
        row_plan_fini(&p->plans[i]);
    arena_fini(&p->scratch);
    free(p->plans);
    free(p->stmt_counters);
    free(p);
}

/* ---- queues -----------------------------------------------------------------------------------
 */

struct group *
pool_group_for(struct pool *p, const struct request *q)
{
    struct group *replica = &p->groups[GROUP_REPLICA];

    if (q->replica && q->attempts == 0 && replica->url && !list_empty(&replica->conns[CONN_READY]))
        return replica;
    return &p->groups[GROUP_PRIMARY];
}

void
pool_enqueue(struct pool *p, struct request *q, bool in_front)
{
    struct group *g = pool_group_for(p, q);
    struct list *queue = q->solo ? &g->alone : &g->reads;

    q->group = g;
    q->state = REQUEST_QUEUED;
    if (in_front)
        list_push_front(queue, &q->link);
    else
        list_push(queue, &q->link);
    g->queued++;
    counter_add(&p->counters[GAUGE_QUEUED], 1);
}

void
pool_dequeue(struct request *q)
{
    list_remove(&q->link);
    q->group->queued--;
    counter_add(&q->pool->counters[GAUGE_QUEUED], -UINT64_C(1));
}

static struct request *
pop_queue(struct list *queue)
{
    struct request *q = container_of(queue->next, struct request, link);

    pool_dequeue(q);
    return q;
}

/* ---- who sends what ---------------------------------------------------------------------------
 */

static size_t
load_of(const struct conn *c, bool write)
{
    const size_t load = (c->stmts - c->writes) + c->writes * WRITE_WEIGHT;

    /* When all are idle, reads begin with the first and writes with the last. */
    return load * 64 + (write ? 63 - c->index : c->index);
}

/* The ready connection with the least to do that has room; NULL: none. */
static struct conn *
pick(struct group *g, bool write)
{
    struct conn *best = NULL;

    list_foreach (n, &g->conns[CONN_READY]) {
        struct conn *c = container_of(n, struct conn, link);
        if (c->stmts >= c->pool->db->queue)
            continue;
        if (!best || load_of(c, write) < load_of(best, write))
            best = c;
    }
    return best;
}

static void
send_alone(struct group *g)
{
    while (!list_empty(&g->alone)) {
        struct request *q = container_of(g->alone.next, struct request, link);
        struct conn *c = pick(g, !q->reads);
        if (!c)
            return;
        pool_dequeue(q);
        conn_send(c, q);
        if (c->pq)
            conn_sync(c);
    }
}

/* Sends those of `batch` that come from the same caller as its first. */
static void
send_same_caller(struct conn *c, struct list *batch)
{
    const struct request *first = container_of(batch->next, struct request, link);
    const int64_t account = first->account;
    const enum role role = first->role;

    list_foreach_safe (n, next, batch) {
        struct request *q = container_of(n, struct request, link);
        if (q->account != account || q->role != role)
            continue;
        list_remove(&q->link);
        conn_send(c, q);
        if (!c->pq)
            return;
    }
}

static void
send_reads(struct group *g)
{
    while (!list_empty(&g->reads)) {
        struct conn *c = pick(g, false);
        struct list batch;
        struct list *n;
        if (!c)
            return;
        list_init(&batch);
        for (int i = 0; i < READS_PER_SYNC && !list_empty(&g->reads); i++)
            list_push(&batch, &pop_queue(&g->reads)->link);
        while (c->pq && !list_empty(&batch))
            send_same_caller(c, &batch);
        if (c->pq)
            conn_sync(c);
        while ((n = list_pop(&batch))) /* it broke before their turn */
            request_finish(container_of(n, struct request, link), FATE_AWAY);
    }
}

static void
on_turn_end(struct turn_hook *h)
{
    struct pool *p = container_of(h, struct pool, hook);

    for (int k = GROUP_PRIMARY; k <= GROUP_REPLICA; k++) {
        send_alone(&p->groups[k]);
        send_reads(&p->groups[k]);
    }
    pool_count(p, COUNT_FLUSHES);
}

void
pool_wants_turn(struct pool *p)
{
    reactor_at_turn_end(p->reactor, &p->hook);
}

void
pool_conn_ready(struct conn *c)
{
    struct pool *p = c->pool;

    if (c->state == CONN_PREPARING) {
        c->failures = 0;
        pool_count(p, COUNT_CONNECTS);
        conn_move(c, CONN_READY);
        if (c->group->kind == GROUP_LISTEN)
            listen_ready(c);
    } else if (c->state == CONN_LEASED && !c->lease && conn_in_flight(c) == 0) {
        conn_move(c, CONN_READY); /* its rollback has been answered */
    } else if (c->group->kind == GROUP_LISTEN) {
        listen_subscribed(p, c);
    }
    if (c->group->kind == GROUP_LEASE)
        lease_serve(p);
    else if (c->group->queued > 0)
        pool_wants_turn(p);
}

/* What waited for a replica that has gone may as well be answered by the primary. */
static void
leave_replica(struct pool *p)
{
    struct group *g = &p->groups[GROUP_REPLICA];

    while (!list_empty(&g->reads))
        pool_enqueue(p, pop_queue(&g->reads), false);
    while (!list_empty(&g->alone))
        pool_enqueue(p, pop_queue(&g->alone), false);
    pool_wants_turn(p);
}

void
pool_update_health(struct pool *p)
{
    const bool healthy = !list_empty(&p->groups[GROUP_PRIMARY].conns[CONN_READY]);
    struct group *replica = &p->groups[GROUP_REPLICA];

    if (healthy && !atomic_load_explicit(&p->healthy, memory_order_relaxed))
        cond_broadcast(&p->became_healthy);
    atomic_store_explicit(&p->healthy, healthy, memory_order_relaxed);
    if (replica->queued > 0 && list_empty(&replica->conns[CONN_READY]) && !p->closing)
        leave_replica(p);
}

/* ---- the janitor ------------------------------------------------------------------------------
 */

/* How often things under way are looked at. */
static nsec_t
tick(const struct pool *p)
{
    nsec_t t = p->db->timeout / 10;

    return t < MSEC(5) ? MSEC(5) : t > MSEC(200) ? MSEC(200) : t;
}

void
pool_wants_janitor_at(struct pool *p, nsec_t at)
{
    if (!p->closing && (!timer_pending(&p->janitor) || p->janitor.at > at))
        timer_set(p->reactor, &p->janitor, at);
}

void
pool_wants_janitor(struct pool *p)
{
    pool_wants_janitor_at(p, reactor_now(p->reactor) + tick(p));
}

/* Nothing has come for the time the server itself allows, and some more for the network; or it
 * trickles, but the oldest has waited for twice as long. */
static bool
is_stuck(const struct conn *c, nsec_t now)
{
    const nsec_t timeout = c->pool->db->timeout;
    const nsec_t limit = timeout + timeout / 5 + MSEC(20);
    const struct flight *oldest = &c->ring[c->head & (c->ring_cap - 1)];
    nsec_t since;

    if (c->state == CONN_CONNECTING)
        return now - c->state_since > limit;
    if (c->manual)
        return c->lease && now > c->lease->wait_until;
    if (conn_in_flight(c) == 0)
        return false;
    since = c->progress > oldest->sent ? c->progress : oldest->sent;
    return now - since > limit || now - oldest->sent > 2 * limit;
}

/* Looks after one connection; returns when it wants to be looked at again. */
static nsec_t
tend(struct conn *c, nsec_t now)
{
    switch (c->state) {
    case CONN_WAITING:
        if (c->retry_at > now)
            return c->retry_at;
        conn_start(c);
        return now + tick(c->pool);
    case CONN_READY:
        if (conn_in_flight(c) == 0 && c->group->kind == GROUP_LEASE) {
            if (now - c->state_since < LEASE_IDLE)
                return c->state_since + LEASE_IDLE;
            conn_close(c);
            return NSEC_NEVER;
        }
        break;
    default:
        break;
    }
    if (is_stuck(c, now))
        conn_break(c, FATE_TIMEOUT, "no answer within the timeout");
    return conn_in_flight(c) > 0 || c->state != CONN_READY ? now + tick(c->pool) : NSEC_NEVER;
}

static void
give_up_queued(struct list *queue, nsec_t now)
{
    list_foreach_safe (n, next, queue) {
        struct request *q = container_of(n, struct request, link);
        if (q->expires > now)
            continue;
        pool_dequeue(q);
        request_finish(q, FATE_AWAY);
    }
}

static nsec_t
tend_group(struct group *g, nsec_t now)
{
    nsec_t next_at = NSEC_NEVER;

    for (int state = 0; state < CONN_STATES; state++) {
        list_foreach_safe (n, next, &g->conns[state]) {
            nsec_t at = tend(container_of(n, struct conn, link), now);
            next_at = at < next_at ? at : next_at;
        }
    }
    give_up_queued(&g->reads, now);
    give_up_queued(&g->alone, now);
    return next_at;
}

static void
on_janitor(struct timer *t)
{
    struct pool *p = container_of(t, struct pool, janitor);
    const nsec_t now = reactor_now(p->reactor);
    nsec_t next_at = NSEC_NEVER;
    bool waiting = !list_empty(&p->lease_waiters);

    for (int k = 0; k < GROUP_COUNT; k++) {
        nsec_t at = tend_group(&p->groups[k], now);
        next_at = at < next_at ? at : next_at;
        waiting = waiting || p->groups[k].queued > 0;
    }
    lease_expire(p, now);
    if (waiting && now + tick(p) < next_at)
        next_at = now + tick(p);
    if (next_at != NSEC_NEVER)
        pool_wants_janitor_at(p, next_at);
}

/* ---- attaching --------------------------------------------------------------------------------
 */

static void
init_group(struct pool *p, enum group_kind kind, const char *url, size_t max)
{
    struct group *g = &p->groups[kind];

    *g = (struct group){.kind = kind, .url = url, .max = max};
    for (int i = 0; i < CONN_STATES; i++)
        list_init(&g->conns[i]);
    list_init(&g->reads);
    list_init(&g->alone);
}

static void
open_group(struct pool *p, enum group_kind kind)
{
    struct group *g = &p->groups[kind];

    for (size_t i = 0; g->url && i < g->max; i++)
        conn_start(conn_new(p, g));
}

static void
on_reactor_stop(struct stop_hook *h)
{
    db_detach(container_of(h, struct pool, stop)->reactor);
}

void
db_attach(struct db *db, struct reactor *r)
{
    struct pool *p = calloc(1, sizeof(*p));
    const char *url = db->url ? db->url : "";

    ASSERT(p && !pool_of(r));
    p->refs = 1;
    p->db = db;
    p->reactor = r;
    init_group(p, GROUP_PRIMARY, url, db->connections);
    init_group(p, GROUP_REPLICA, db->replica_url, db->connections);
    init_group(p, GROUP_LEASE, url, db->leases);
    init_group(p, GROUP_LISTEN, url, 1);
    turn_hook_init(&p->hook, on_turn_end);
    timer_init(&p->janitor, on_janitor);
    cond_init(&p->became_healthy);
    list_init(&p->free_requests);
    list_init(&p->lease_waiters);
    list_init(&p->listeners);
    arena_init(&p->scratch, 0);
    p->n_plans = db->max_id;
    p->plans = calloc(db->max_id, sizeof(*p->plans));
    p->stmt_counters = calloc(db->max_id, sizeof(*p->stmt_counters));
    ASSERT(p->plans && p->stmt_counters);
    reactor_set_slot(r, SLOT_DB, p);
    p->stop.fn = on_reactor_stop;
    reactor_at_stop(r, &p->stop);
    open_group(p, GROUP_PRIMARY);
    open_group(p, GROUP_REPLICA);
    pool_wants_janitor(p);
}

static void
close_group(struct group *g)
{
    for (int state = 0; state < CONN_STATES; state++)
        while (!list_empty(&g->conns[state]))
            conn_close(container_of(g->conns[state].next, struct conn, link));
    while (!list_empty(&g->reads))
        request_finish(pop_queue(&g->reads), FATE_SHUTDOWN);
    while (!list_empty(&g->alone))
        request_finish(pop_queue(&g->alone), FATE_SHUTDOWN);
}

void
db_detach(struct reactor *r)
{
    struct pool *p = pool_of(r);

    if (!p)
        return;
    p->closing = true;
    reactor_set_slot(r, SLOT_DB, NULL);
    timer_stop(r, &p->janitor);
    turn_hook_cancel(&p->hook);
    list_remove(&p->stop.link);
    for (int k = 0; k < GROUP_COUNT; k++)
        close_group(&p->groups[k]);
    lease_expire(p, NSEC_NEVER);
    cond_broadcast(&p->became_healthy);
    pool_unref(p);
}

bool
db_healthy(const struct reactor *r)
{
    const struct pool *p = pool_of(r);

    return p && atomic_load_explicit(&p->healthy, memory_order_relaxed);
}

enum status
db_wait_healthy(struct ctx *ctx)
{
    while (!db_healthy(ctx->reactor)) {
        struct pool *p = pool_of(ctx->reactor);
        enum status st;
        if (!p)
            return fail_plain(ctx, SHUTTING_DOWN);
        st = cond_wait(&p->became_healthy, ctx);
        if (st != OK)
            return st;
    }
    return OK;
}
