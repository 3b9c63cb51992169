/*
 * Rows as they come: libpq's single-row mode on a leased connection that the reading fiber drives
 * itself. What it does not read stays in the socket, and the server waits.
 */
#include <stdlib.h>

#include "db/db.sql.h"
#include "db/lease.h"
#include "db/sqlstate.h"
#include "db/verb.h"

/* What is awaited next. */
enum stream_phase { STREAM_IDENTITY, STREAM_ROWS, STREAM_SYNC, STREAM_OVER };

struct db_stream {
    struct ctx *ctx;
    const struct db_stmt *stmt;
    struct db_lease *lease; /* NULL: closed */
    enum stream_phase phase;
    enum status failed; /* what every further call answers */
};

static void
close_deferred(void *s)
{
    db_stream_close(s);
}

/* The statement in front of whose rows set_config stands, and a Sync behind. */
static bool
send_all(struct ctx *ctx, struct db_stream *s, struct db_args args)
{
    struct conn *c = s->lease->conn;
    const bool nobody = s->stmt->flags & DB_SYSTEM;

    if (!conn_send_identity(c, nobody ? 0 : ctx->who.account_id,
                            nobody ? ROLE_NONE : ctx->who.role))
        return false;
    s->phase = conn_in_flight(c) > 0 ? STREAM_IDENTITY : STREAM_ROWS;
    if (!conn_send_internal(c, s->stmt, args, FLIGHT_COMMAND))
        return false;
    conn_sync(c);
    return s->lease->conn != NULL;
}

/* From here on the answers are this file's: the ring is not used. */
static void
take_over(struct db_stream *s)
{
    struct conn *c = s->lease->conn;

    c->head = c->tail;
    c->manual = true;
    s->lease->wait_until = NSEC_NEVER;
    if (s->phase == STREAM_ROWS)
        PQsetSingleRowMode(c->pq);
}

enum status
db_stream_open(struct ctx *ctx, const struct db_stmt *stmt, struct db_args args,
               struct db_stream **ret)
{
    struct db_stream *s;
    enum status st = verb_check(ctx, stmt, DB_KIND_STREAM, args, 0);

    if (st != OK)
        return st;
    if (ctx->tx) {
        st = fail_plain(ctx, INTERNAL_ERROR);
        fail_detail(ctx, "statement %s: a stream inside of a transaction", stmt->name);
        return st;
    }
    s = arena_new(ctx->arena, struct db_stream);
    s->ctx = ctx;
    s->stmt = stmt;
    st = lease_acquire(ctx, &s->lease);
    if (st != OK)
        return st;
    if (!send_all(ctx, s, args)) {
        lease_release(s->lease);
        st = fail_plain(ctx, DB_UNAVAILABLE);
        fail_detail(ctx, "statement %s: connection lost", stmt->name);
        return st;
    }
    take_over(s);
    pool_count(s->lease->pool, COUNT_STATEMENTS);
    ctx_defer(ctx, close_deferred, s);
    *ret = s;
    return OK;
}

/* The stream has ended well: the connection may serve others. */
static void
give_back(struct db_stream *s)
{
    struct db_lease *l = s->lease;

    s->lease = NULL;
    s->phase = STREAM_OVER;
    l->conn->manual = false;
    l->conn->progress = 0;
    conn_poll(l->conn, UV_READABLE);
    lease_release(l);
}

void
db_stream_close(struct db_stream *s)
{
    struct db_lease *l = s->lease;

    if (!l)
        return;
    s->lease = NULL;
    /* Rows are still to come: reading them all may take long, a new connection does not. */
    lease_abandon(l);
    if (s->failed == OK)
        s->failed = END;
}

static enum status
stream_fail(struct db_stream *s, enum status st)
{
    pool_count(s->lease->pool, COUNT_FAILURES);
    db_stream_close(s);
    s->failed = st;
    return st;
}

/* The next result; waits for it. *ret NULL: the end of one statement's. */
static enum status
next_result(struct db_stream *s, PGresult **ret)
{
    struct db_lease *l = s->lease;

    while (l->conn && PQisBusy(l->conn->pq)) {
        const bool full = PQflush(l->conn->pq) == 1;
        enum status st = lease_wait(s->ctx, l, full);
        if (st != OK)
            return st;
        if (PQconsumeInput(l->conn->pq) != 1 && PQisBusy(l->conn->pq))
            conn_break(l->conn, FATE_LOST, PQerrorMessage(l->conn->pq));
    }
    if (!l->conn)
        return lease_wait(s->ctx, l, false); /* records why */
    *ret = PQgetResult(l->conn->pq);
    return OK;
}

/* A result that is not a row: moves on to the next phase. */
static enum status
step(struct db_stream *s, PGresult *res)
{
    const ExecStatusType status = res ? PQresultStatus(res) : PGRES_EMPTY_QUERY;
    enum status st = OK;

    if (status == PGRES_FATAL_ERROR || status == PGRES_PIPELINE_ABORTED)
        st = sqlstate_fail(s->ctx, s->stmt, res);
    else if (!res && s->phase == STREAM_IDENTITY)
        s->phase = STREAM_ROWS;
    else if (!res && s->phase == STREAM_ROWS)
        s->phase = STREAM_SYNC;
    else if (status == PGRES_PIPELINE_SYNC)
        s->phase = STREAM_OVER;
    if (!res && s->phase == STREAM_ROWS)
        PQsetSingleRowMode(s->lease->conn->pq);
    PQclear(res);
    return st;
}

static enum status
decode(struct db_stream *s, PGresult *res, struct arena *scratch, void *ret_row, size_t row_size)
{
    const struct row_plan *plan = &s->lease->pool->plans[s->stmt->id];
    void *row = arena_alloc(scratch, row_size);
    const char *wrong = row_decode(scratch, plan, res, 0, row);
    enum status st = OK;

    PQclear(res);
    if (wrong) {
        st = fail_plain(s->ctx, INTERNAL_ERROR);
        fail_detail(s->ctx, "statement %s: %s", s->stmt->name, wrong);
        return stream_fail(s, st);
    }
    memcpy(ret_row, row, row_size);
    return st;
}

enum status
db_stream_next_at(struct db_stream *s, struct arena *scratch, void *ret_row, size_t row_size)
{
    ASSERT(row_size == s->stmt->row[0].row_size);
    while (s->lease) {
        PGresult *res = NULL;
        enum status st = next_result(s, &res);
        if (st == OK && res && PQresultStatus(res) == PGRES_SINGLE_TUPLE && s->phase == STREAM_ROWS)
            return decode(s, res, scratch, ret_row, row_size);
        if (st == OK)
            st = step(s, res);
        if (st != OK)
            return stream_fail(s, st);
        if (s->phase == STREAM_OVER)
            give_back(s);
    }
    return s->failed == OK ? END : s->failed;
}
