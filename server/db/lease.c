#include "db/lease.h"

#include <stdlib.h>

#include "db/verb.h"

/* ---- who gets which connection -----------------------------------------------------------------
 */

static size_t
count_list(const struct list *head)
{
    size_t n = 0;

    list_foreach (it, head)
        n++;
    return n;
}

/* Opens connections for those who wait, as far as allowed. */
static void
open_more(struct pool *p, struct group *g)
{
    size_t waiting = count_list(&p->lease_waiters);
    size_t coming = count_list(&g->conns[CONN_WAITING]) + count_list(&g->conns[CONN_CONNECTING]) +
                    count_list(&g->conns[CONN_PREPARING]);

    for (; coming < waiting && g->total < g->max; coming++)
        conn_start(conn_new(p, g));
    pool_wants_janitor(p);
}

void
lease_serve(struct pool *p)
{
    struct group *g = &p->groups[GROUP_LEASE];

    while (!list_empty(&p->lease_waiters) && !list_empty(&g->conns[CONN_READY])) {
        struct conn *c = container_of(g->conns[CONN_READY].prev, struct conn, link);
        struct db_lease *l = container_of(list_pop(&p->lease_waiters), struct db_lease, link);
        l->conn = c;
        c->lease = l;
        conn_move(c, CONN_LEASED);
        fiber_wake(l->fiber);
    }
    if (!list_empty(&p->lease_waiters))
        open_more(p, g);
}

void
lease_expire(struct pool *p, nsec_t now)
{
    list_foreach_safe (n, next, &p->lease_waiters) {
        struct db_lease *l = container_of(n, struct db_lease, link);
        if (l->expires > now)
            continue;
        list_remove(&l->link);
        l->gave_up = true;
        fiber_wake(l->fiber);
    }
}

static void
lease_free(struct db_lease *l)
{
    struct pool *p = l->pool;

    list_remove(&l->link);
    free(l);
    pool_unref(p);
}

static enum status
fail_no_lease(struct ctx *ctx, const struct pool *p)
{
    enum status st;

    if (p->closing)
        return fail_plain(ctx, SHUTTING_DOWN);
    st = fail_plain(ctx, DB_UNAVAILABLE);
    fail_detail(ctx, "no free connection in time");
    return st;
}

enum status
lease_acquire(struct ctx *ctx, struct db_lease **ret)
{
    struct pool *p;
    struct db_lease *l;
    enum status st = verb_pool(ctx, &p);

    if (st != OK)
        return st;
    if (count_list(&p->lease_waiters) >= p->db->queue) {
        pool_count(p, COUNT_REFUSED);
        return fail_no_lease(ctx, p);
    }
    l = calloc(1, sizeof(*l));
    ASSERT(l);
    l->pool = p;
    l->fiber = fiber_self();
    l->expires = reactor_now(p->reactor) + p->db->timeout;
    pool_ref(p);
    list_push(&p->lease_waiters, &l->link);
    lease_serve(p);
    while (!l->conn && !l->gave_up && st == OK)
        st = fiber_park(ctx);
    if (st == OK && l->gave_up)
        st = fail_no_lease(ctx, p);
    if (st != OK) {
        lease_release(l);
        return st;
    }
    *ret = l;
    return OK;
}

void
lease_release(struct db_lease *l)
{
    struct conn *c = l->conn;
    struct pool *p = l->pool;

    if (c) {
        c->lease = NULL;
        l->conn = NULL;
        if (conn_in_flight(c) == 0)
            conn_move(c, CONN_READY);
    }
    if (!p->closing)
        lease_serve(p);
    lease_free(l);
}

void
lease_abandon(struct db_lease *l)
{
    if (l->conn)
        conn_break(l->conn, FATE_SHUTDOWN, "given up");
    lease_release(l);
}

void
lease_lost(struct db_lease *l)
{
    struct conn *c = l->conn;

    l->timed_out = c->manual && l->wait_until != 0 && reactor_now(l->pool->reactor) > l->wait_until;
    l->conn = NULL;
    fiber_wake(l->fiber);
}

enum status
lease_wait(struct ctx *ctx, struct db_lease *l, bool writable)
{
    struct conn *c = l->conn;
    enum status st;

    if (c) {
        l->wait_until = reactor_now(l->pool->reactor) + l->pool->db->timeout;
        conn_poll(c, writable ? UV_READABLE | UV_WRITABLE : UV_READABLE);
        pool_wants_janitor(l->pool);
        st = fiber_park(ctx);
        l->wait_until = NSEC_NEVER;
        if (st != OK)
            return st;
    }
    if (l->conn)
        return OK;
    if (l->timed_out)
        return fail_plain(ctx, DB_TIMEOUT);
    st = l->pool->closing ? fail_plain(ctx, SHUTTING_DOWN) : fail_plain(ctx, DB_UNAVAILABLE);
    fail_detail(ctx, "connection lost");
    return st;
}
