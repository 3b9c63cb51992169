/*
 * One connection in pipeline mode: what was sent stands in a ring, in the order in which libpq will
 * hand out the answers. libpq gives no other correlation.
 *
 * libpq's rules (libpq documentation, Pipeline Mode): each statement answers with results and then
 * NULL; a Sync answers with one PGRES_PIPELINE_SYNC and no NULL; after an error everything up to
 * the Sync answers PGRES_PIPELINE_ABORTED; an error of the commit itself comes where the Sync is
 * awaited.
 */
#include <stdlib.h>
#include <uv.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "db/db.sql.h"
#include "db/lease.h"
#include "db/listen.h"
#include "db/pool.h"
#include "db/resolve.h"
#include "db/sqlstate.h"

/* Lives until libuv has closed it, longer than the connection. */
struct poll_handle {
    uv_poll_t uv;
    struct conn *conn; /* NULL: it is being closed */
    int fd;
};

struct conn *
conn_new(struct pool *p, struct group *g)
{
    struct conn *c = calloc(1, sizeof(*c));

    ASSERT(c);
    c->pool = p;
    c->group = g;
    c->index = (unsigned)g->total;
    c->state = CONN_WAITING;
    c->state_since = reactor_now(p->reactor);
    c->retry_at = c->state_since;
    c->ring_cap = 64;
    c->ring = calloc(c->ring_cap, sizeof(*c->ring));
    ASSERT(c->ring);
    list_init(&c->answered);
    list_push(&g->conns[CONN_WAITING], &c->link);
    g->total++;
    counter_add(&p->counters[GAUGE_STATE + CONN_WAITING], 1);
    return c;
}

void
conn_move(struct conn *c, enum conn_state to)
{
    struct pool *p = c->pool;

    if (c->state == to)
        return;
    counter_add(&p->counters[GAUGE_STATE + c->state], -UINT64_C(1));
    counter_add(&p->counters[GAUGE_STATE + to], 1);
    list_remove(&c->link);
    list_push(&c->group->conns[to], &c->link);
    c->state = to;
    c->state_since = reactor_now(p->reactor);
    pool_update_health(p);
}

/* ---- the socket -------------------------------------------------------------------------------
 */

static void conn_read(struct conn *c);

/* libuv has stopped to poll it: what still lies in the socket is read now, or never. */
static void
on_socket_error(struct conn *c)
{
    for (int i = 0; i < 2 && c->pq; i++)
        conn_read(c);
    if (c->pq)
        conn_break(c, FATE_LOST, "the socket has an error");
}

static void
on_poll(uv_poll_t *uv, int status, int events)
{
    struct conn *c = container_of(uv, struct poll_handle, uv)->conn;

    if (!c)
        return;
    if (c->state == CONN_CONNECTING) {
        conn_connect_step(c);
    } else if (c->manual) {
        conn_poll(c, 0);
        if (c->lease && c->lease->fiber)
            fiber_wake(c->lease->fiber);
    } else {
        if (events & UV_WRITABLE)
            conn_flush(c);
        if (c->pq && (events & UV_READABLE))
            conn_read(c);
        if (c->pq && status < 0)
            on_socket_error(c);
    }
}

static void
on_poll_closed(uv_handle_t *h)
{
    free(container_of((uv_poll_t *)h, struct poll_handle, uv));
}

static void
close_poll(struct conn *c)
{
    if (!c->poll)
        return;
    uv_poll_stop(&c->poll->uv);
    c->poll->conn = NULL;
    uv_close((uv_handle_t *)&c->poll->uv, on_poll_closed);
    c->poll = NULL;
    c->events = 0;
}

void
conn_poll(struct conn *c, int events)
{
    const int fd = PQsocket(c->pq);

    if (c->poll && c->poll->fd != fd) /* libpq tries the next address */
        close_poll(c);
    if (!c->poll) {
        struct poll_handle *h = calloc(1, sizeof(*h));
        ASSERT(h);
        h->conn = c;
        h->fd = fd;
        int err = uv_poll_init(reactor_loop(c->pool->reactor), &h->uv, fd);
        if (err < 0) {
            free(h);
            conn_break(c, FATE_LOST, uv_strerror(err));
            return;
        }
        c->poll = h;
    } else if (events == c->events && c->state != CONN_CONNECTING) {
        return;
    }
    c->events = events;
    if (events)
        uv_poll_start(&c->poll->uv, events, on_poll);
    else
        uv_poll_stop(&c->poll->uv);
}

void
conn_flush(struct conn *c)
{
    int left = PQflush(c->pq);

    if (left < 0)
        conn_break(c, FATE_LOST, PQerrorMessage(c->pq));
    else
        conn_poll(c, left ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

/* ---- the ring ---------------------------------------------------------------------------------
 */

static struct flight *
flight_at(struct conn *c, size_t i)
{
    return &c->ring[i & (c->ring_cap - 1)];
}

static void
grow_ring(struct conn *c)
{
    const size_t n = conn_in_flight(c);
    struct flight *bigger = calloc(c->ring_cap * 2, sizeof(*bigger));

    ASSERT(bigger);
    for (size_t i = 0; i < n; i++)
        bigger[i] = *flight_at(c, c->head + i);
    free(c->ring);
    c->ring = bigger;
    c->ring_cap *= 2;
    c->head = 0;
    c->tail = n;
}

struct flight *
conn_push_flight(struct conn *c, enum flight_kind kind)
{
    struct flight *f;

    if (conn_in_flight(c) == c->ring_cap)
        grow_ring(c);
    f = flight_at(c, c->tail++);
    f->kind = kind;
    f->item = 0;
    f->stmt = NULL;
    f->sent = reactor_now(c->pool->reactor);
    return f;
}

static void
count_in_flight(struct conn *c, const struct request *q, size_t n)
{
    c->stmts += n;
    if (!q->reads)
        c->writes += n;
    counter_add(&c->pool->counters[GAUGE_IN_FLIGHT], n);
}

/* ---- sending ----------------------------------------------------------------------------------
 */

static int
send_unnamed(struct conn *c, const struct db_stmt *stmt, const int *binary)
{
    const struct value_params *v = &c->pool->params;
    pg_oid oids[VALUE_MAX_PARAMS];

    for (size_t i = 0; i < stmt->n_params; i++)
        oids[i] = value_types[stmt->params[i]].oid;
    return PQsendQueryParams(c->pq, stmt->sql, v->n, oids, v->values, v->lengths, binary, 1);
}

static bool
send_prepared(struct conn *c, const struct db_stmt *stmt, struct db_args args)
{
    static const int binary[VALUE_MAX_PARAMS] = {
        [0 ... VALUE_MAX_PARAMS - 1] = 1,
    };
    struct pool *p = c->pool;
    int sent;

    value_encode(&p->scratch, args, &p->params);
    if (stmt->flags & DB_UNNAMED)
        sent = send_unnamed(c, stmt, binary);
    else
        sent = PQsendQueryPrepared(c->pq, stmt->name, p->params.n, p->params.values,
                                   p->params.lengths, binary, 1);
    arena_reset(&p->scratch);
    return sent == 1 && !FAILPOINT(db_send);
}

bool
conn_send_internal(struct conn *c, const struct db_stmt *stmt, struct db_args args,
                   enum flight_kind kind)
{
    if (!send_prepared(c, stmt, args)) {
        conn_break(c, FATE_LOST, PQerrorMessage(c->pq));
        return false;
    }
    conn_push_flight(c, kind)->stmt = stmt;
    return true;
}

void
conn_send(struct conn *c, struct request *q)
{
    ASSERT(c->state == CONN_READY || c->state == CONN_LEASED);
    if (!q->pinned && !conn_send_identity(c, q->account, q->role)) {
        request_finish(q, FATE_AWAY);
        return;
    }
    q->conn = c;
    q->n_sent = 0;
    for (uint16_t i = 0; i < q->n_items; i++) {
        struct flight *f;
        if (!send_prepared(c, q->items[i].stmt, q->items[i].args)) {
            conn_break(c, FATE_LOST, PQerrorMessage(c->pq));
            if (i == 0)
                request_finish(q, FATE_AWAY);
            return;
        }
        f = conn_push_flight(c, FLIGHT_STMT);
        f->item = i;
        f->request = q;
        q->n_sent++;
        count_in_flight(c, q, 1);
    }
    q->state = REQUEST_SENT;
    q->attempts++;
    counter_add(&c->pool->counters[COUNT_STATEMENTS], q->n_items);
}

void
conn_sync(struct conn *c)
{
    c->group_account = 0; /* the next group starts as nobody */
    c->group_role = ROLE_NONE;
    if (PQpipelineSync(c->pq) != 1) {
        conn_break(c, FATE_LOST, PQerrorMessage(c->pq));
        return;
    }
    conn_push_flight(c, FLIGHT_SYNC);
    pool_count(c->pool, COUNT_SYNCS);
    conn_flush(c);
}

/* ---- receiving --------------------------------------------------------------------------------
 */

static void
keep_group_error(struct conn *c, PGresult *res)
{
    if (c->group_error)
        PQclear(res);
    else
        c->group_error = res;
}

/* A result of a caller's statement. */
static void
take_answer(struct flight *f, PGresult *res)
{
    struct request *q = f->request;
    const ExecStatusType status = PQresultStatus(res);

    if (status == PGRES_PIPELINE_ABORTED) {
        if (q->fate == FATE_OK)
            q->fate = FATE_ABORTED;
    } else if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        q->fate = FATE_FAILED;
        q->failed = f->item;
    }
    if (!q->done) {
        PQclear(res);
        return;
    }
    PQclear(q->results[f->item]);
    q->results[f->item] = res;
}

/* A statement has answered all. */
static void
end_flight(struct conn *c)
{
    struct flight *f = flight_at(c, c->head++);
    struct request *q = f->request;

    if (f->kind != FLIGHT_STMT)
        return;
    count_in_flight(c, q, (size_t)-1);
    if (f->item == q->n_sent - 1)
        list_push(&c->answered, &q->link);
}

/* What the group's end means for a request whose statements were all answered. */
static enum fate
fate_of(struct conn *c, struct request *q)
{
    const bool broke = c->group_error != NULL; /* set_config or the commit failed */

    if (q->fate == FATE_FAILED || (q->fate == FATE_OK && !broke))
        return q->fate;
    if (!q->solo)
        return FATE_ABORTED;
    /* Alone in its group: the error is its own. */
    ASSERT(broke);
    q->failed = 0;
    PQclear(q->results[0]);
    q->results[0] = c->group_error;
    c->group_error = NULL;
    return FATE_FAILED;
}

static bool
any_write(struct list *requests)
{
    list_foreach (n, requests) {
        if (!container_of(n, struct request, link)->reads)
            return true;
    }
    return false;
}

/* Committed, or rolled back: everyone in the group learns it. */
static void
take_sync(struct conn *c)
{
    struct list *n;

    if (any_write(&c->answered) && FAILPOINT(db_before_sync)) {
        conn_break(c, FATE_LOST, "failpoint db_before_sync");
        return;
    }
    if (c->group_error && (c->state == CONN_PREPARING || c->group->kind == GROUP_LISTEN)) {
        conn_break(c, FATE_LOST, PQresultErrorMessage(c->group_error));
        return;
    }
    end_flight(c);
    while ((n = list_pop(&c->answered))) {
        struct request *q = container_of(n, struct request, link);
        request_finish(q, fate_of(c, q));
    }
    PQclear(c->group_error);
    c->group_error = NULL;
    if (conn_in_flight(c) == 0 && c->state != CONN_PREPARING)
        c->progress = 0;
    pool_conn_ready(c);
}

/* A result that is not of a caller's statement. False: the connection broke. */
static bool
take_other(struct conn *c, const struct flight *f, PGresult *res)
{
    const ExecStatusType status = PQresultStatus(res);
    bool good = true;

    if (f->kind == FLIGHT_SYNC && status == PGRES_PIPELINE_SYNC) {
        PQclear(res);
        take_sync(c);
        return c->pq != NULL;
    }
    if (f->kind == FLIGHT_PREPARE || f->kind == FLIGHT_DESCRIBE) {
        good = conn_take_prepared(c, f, res);
        PQclear(res);
    } else if (status == PGRES_FATAL_ERROR) {
        keep_group_error(c, res);
    } else {
        PQclear(res);
    }
    return good;
}

/* The next result. False: there is none, or the connection broke. */
static bool
take_result(struct conn *c)
{
    struct flight *f = flight_at(c, c->head);
    PGresult *res = PQgetResult(c->pq);

    if (!res) {
        if (f->kind == FLIGHT_SYNC)
            return false; /* the end of an error in front of it, or nothing yet */
        end_flight(c);
        return true;
    }
    if (PQresultStatus(res) == PGRES_FATAL_ERROR && sqlstate_is_broken(res)) {
        conn_break(c, FATE_LOST, PQresultErrorMessage(res));
        PQclear(res);
        return false;
    }
    if (f->kind == FLIGHT_STMT) {
        take_answer(f, res);
        return true;
    }
    return take_other(c, f, res);
}

static void
take_notifications(struct conn *c)
{
    PGnotify *n;

    while (c->pq && (n = PQnotifies(c->pq))) {
        listen_notify(c->pool, n->relname, n->extra);
        PQfreemem(n);
    }
}

static void
conn_read(struct conn *c)
{
    const bool alive = PQconsumeInput(c->pq) == 1;
    int idle = 0;

    c->progress = reactor_now(c->pool->reactor);
    while (c->pq && conn_in_flight(c) > 0 && !PQisBusy(c->pq)) {
        if (take_result(c))
            idle = 0;
        else if (!c->pq || ++idle > 1)
            break;
    }
    if (c->pq && conn_in_flight(c) == 0 && !PQisBusy(c->pq)) /* parses what came unasked */
        PQclear(PQgetResult(c->pq));
    if (c->pq && c->group->kind == GROUP_LISTEN)
        take_notifications(c);
    if (c->pq && (!alive || PQstatus(c->pq) != CONNECTION_OK))
        conn_break(c, FATE_LOST, PQerrorMessage(c->pq));
}

/* ---- the end ----------------------------------------------------------------------------------
 */

/* Everything that was under way, oldest first, each request once. */
static void
collect_orphans(struct conn *c, struct list *orphans)
{
    list_splice(orphans, &c->answered);
    for (; c->head != c->tail; c->head++) {
        struct flight *f = flight_at(c, c->head);
        if (f->kind == FLIGHT_STMT && f->item == f->request->n_sent - 1)
            list_push(orphans, &f->request->link);
    }
    counter_add(&c->pool->counters[GAUGE_IN_FLIGHT], -(uint64_t)c->stmts);
    c->head = c->tail = 0;
    c->stmts = c->writes = 0;
    PQclear(c->group_error);
    c->group_error = NULL;
    c->group_account = 0;
    c->group_role = ROLE_NONE;
}

static void
log_broken(const struct conn *c, const char *why)
{
    struct str text = str_trim(str_of(why));

    if (c->state == CONN_READY || c->state == CONN_LEASED)
        log_warning("database connection lost", log_strn("why", text));
    else if (c->failures % 16 == 0)
        log_warning("database connection failed", log_strn("why", text),
                    log_uint("attempts", c->failures + 1));
}

void
conn_break(struct conn *c, enum fate fate, const char *why)
{
    struct pool *p = c->pool;
    const bool was_up = c->state == CONN_READY || c->state == CONN_LEASED;
    struct list orphans;
    struct list *n;

    if (c->state == CONN_WAITING)
        return;
    if (fate != FATE_SHUTDOWN) {
        log_broken(c, why);
        pool_count(p, was_up ? COUNT_LOST : COUNT_CONNECT_FAILURES);
    }
    if (fate == FATE_TIMEOUT)
        pool_count(p, COUNT_TIMEOUTS);
    list_init(&orphans);
    collect_orphans(c, &orphans);
    resolve_cancel(c->resolve);
    c->resolve = NULL;
    close_poll(c);
    PQfinish(c->pq);
    c->pq = NULL;
    c->manual = false;
    if (was_up)
        c->failures = 0;
    c->retry_at = reactor_now(p->reactor) + conn_backoff(c);
    c->failures++;
    conn_move(c, CONN_WAITING);
    if (c->lease)
        lease_lost(c->lease);
    c->lease = NULL;
    while ((n = list_pop(&orphans)))
        request_finish(container_of(n, struct request, link), fate);
    pool_wants_janitor_at(p, c->retry_at);
}

void
conn_close(struct conn *c)
{
    conn_break(c, FATE_SHUTDOWN, "closed");
    list_remove(&c->link);
    c->group->total--;
    counter_add(&c->pool->counters[GAUGE_STATE + c->state], -UINT64_C(1));
    free(c->ring);
    free(c);
}
