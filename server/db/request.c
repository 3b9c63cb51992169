#include <stdlib.h>

#include "db/pool.h"
#include "db/sqlstate.h"

/* A read that was sent this often is not sent again: it may be what breaks the connections. */
#define MAX_ATTEMPTS 8

static struct request *
allocate(struct pool *p, size_t n)
{
    struct list *free_one = n == 1 ? list_pop(&p->free_requests) : NULL;
    struct request *q;

    if (free_one)
        return container_of(free_one, struct request, link);
    q = calloc(1, sizeof(*q) + n * sizeof(q->results[0]));
    ASSERT(q);
    return q;
}

struct request *
request_new(struct pool *p, const struct identity *who, const struct db_item *items, size_t n)
{
    struct request *q = allocate(p, n);
    bool nobody = true;

    memset(q, 0, sizeof(*q) + n * sizeof(q->results[0]));
    list_init(&q->link);
    q->pool = p;
    q->items = items;
    q->n_items = (uint16_t)n;
    q->reads = q->idempotent = q->replica = true;
    for (size_t i = 0; i < n; i++) {
        const unsigned flags = items[i].stmt->flags;
        q->reads = q->reads && (flags & DB_READ);
        q->idempotent = q->idempotent && (flags & (DB_IDEMPOTENT | DB_READ));
        q->replica = q->replica && (flags & DB_REPLICA);
        nobody = nobody && (flags & DB_SYSTEM);
    }
    q->solo = !q->reads || n > 1;
    if (!nobody) {
        q->account = who->account_id;
        q->role = who->role;
    }
    q->submitted = reactor_now(p->reactor);
    q->expires = q->submitted + p->db->timeout;
    pool_ref(p);
    return q;
}

static void
clear_results(struct request *q)
{
    for (uint16_t i = 0; i < q->n_items; i++) {
        PQclear(q->results[i]);
        q->results[i] = NULL;
    }
}

void
request_free(struct request *q)
{
    struct pool *p = q->pool;

    clear_results(q);
    if (q->n_items == 1)
        list_push_front(&p->free_requests, &q->link);
    else
        free(q);
    pool_unref(p);
}

bool
request_submit(struct request *q)
{
    struct pool *p = q->pool;
    struct group *g = pool_group_for(p, q);

    if (g->queued >= p->db->queue * g->max) {
        pool_count(p, COUNT_REFUSED);
        return false;
    }
    pool_enqueue(p, q, false);
    pool_wants_turn(p);
    pool_wants_janitor(p);
    return true;
}

void
request_detach(struct request *q)
{
    pool_count(q->pool, COUNT_DETACHED);
    q->done = NULL;
    if (q->state == REQUEST_QUEUED)
        pool_dequeue(q);
    else if (q->state == REQUEST_SENT)
        return; /* its connection frees it */
    request_free(q);
}

static void
count_end(struct request *q, enum fate fate)
{
    struct pool *p = q->pool;
    const nsec_t took = reactor_now(p->reactor) - q->submitted;

    if (fate != FATE_OK)
        pool_count(p, COUNT_FAILURES);
    if (!q->done)
        return;
    for (uint16_t i = 0; i < q->n_items; i++) {
        struct stmt_counters *s = &p->stmt_counters[q->items[i].stmt->id];
        counter_add(&s->calls, 1);
        counter_add(&s->total_ns, (uint64_t)took);
        if (fate != FATE_OK)
            counter_add(&s->failures, 1);
        else if (q->items[i].stmt->row)
            counter_add(&s->rows, (uint64_t)PQntuples(q->results[i]));
    }
}

static bool
may_be_sent_again(const struct request *q, enum fate fate)
{
    if (!q->done || q->pinned || q->pool->closing || q->attempts >= MAX_ATTEMPTS)
        return false;
    switch (fate) {
    case FATE_ABORTED:
        return q->reads;
    case FATE_AWAY:
        return q->expires > reactor_now(q->pool->reactor);
    case FATE_LOST:
    case FATE_TIMEOUT:
        return (q->reads || q->idempotent) && q->expires > reactor_now(q->pool->reactor);
    default:
        return false;
    }
}

static void
send_again(struct request *q, enum fate fate)
{
    struct pool *p = q->pool;

    clear_results(q);
    q->fate = FATE_OK;
    q->conn = NULL;
    /* Once it may be an accident; a read that meets its second broken connection goes alone. */
    q->solo = q->solo || fate == FATE_ABORTED || q->attempts > 1;
    if (q->reads && fate != FATE_AWAY)
        pool_count(p, COUNT_RETRIED_READS);
    pool_enqueue(p, q, true);
    pool_wants_turn(p);
    pool_wants_janitor(p);
}

void
request_finish(struct request *q, enum fate fate)
{
    if (may_be_sent_again(q, fate)) {
        send_again(q, fate);
        return;
    }
    if (fate == FATE_ABORTED)
        fate = FATE_LOST;
    q->state = REQUEST_DONE;
    q->fate = fate;
    count_end(q, fate);
    if (q->done)
        q->done(q);
    else
        request_free(q);
}
