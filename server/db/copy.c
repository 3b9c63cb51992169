/*
 * COPY in, which is not possible in pipeline mode: the transaction's connection leaves the mode for
 * as long. Format: PostgreSQL documentation, COPY, Binary Format.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "db/lease.h"
#include "db/sqlstate.h"
#include "db/verb.h"

#define CHUNK   65536
#define MAX_ROW (256u << 20)

static const char head[19] = "PGCOPY\n\377\r\n\0"; /* and flags 0, and no extension */
static const char tail[2] = "\377\377";

struct copy {
    const struct db_stmt *stmt;
    db_copy_fn next;
    void *arg;
    int64_t rows;
    struct db_lease *lease;
    struct buf out;       /* rows that are not yet libpq's */
    struct arena scratch; /* the row being encoded */
};

static enum status
copy_lost(struct ctx *ctx, struct copy *cp)
{
    struct db_lease *l = cp->lease;

    l->failed = true;
    if (l->conn)
        conn_break(l->conn, FATE_LOST, PQerrorMessage(l->conn->pq));
    return lease_wait(ctx, l, false); /* records why */
}

static enum status
copy_wait(struct ctx *ctx, struct copy *cp, bool writable)
{
    enum status st = lease_wait(ctx, cp->lease, writable);

    if (st == OK && PQconsumeInput(cp->lease->conn->pq) != 1)
        return copy_lost(ctx, cp);
    return st;
}

/* Writes what libpq holds. */
static enum status
copy_flush(struct ctx *ctx, struct copy *cp)
{
    for (;;) {
        int left = cp->lease->conn ? PQflush(cp->lease->conn->pq) : -1;
        enum status st;
        if (left == 0)
            return OK;
        st = left < 0 ? copy_lost(ctx, cp) : copy_wait(ctx, cp, true);
        if (st != OK)
            return st;
    }
}

/* The next result or NULL. */
static enum status
copy_result(struct ctx *ctx, struct copy *cp, PGresult **ret)
{
    while (cp->lease->conn && PQisBusy(cp->lease->conn->pq)) {
        enum status st = copy_wait(ctx, cp, false);
        if (st != OK)
            return st;
    }
    if (!cp->lease->conn)
        return copy_lost(ctx, cp);
    *ret = PQgetResult(cp->lease->conn->pq);
    return OK;
}

static enum status
send_out(struct ctx *ctx, struct copy *cp)
{
    enum status st = OK;

    while (st == OK) {
        int r = cp->lease->conn ? PQputCopyData(cp->lease->conn->pq, cp->out.data, (int)cp->out.len)
                                : -1;
        if (r == 1)
            break;
        st = r < 0 ? copy_lost(ctx, cp) : copy_wait(ctx, cp, true);
    }
    buf_clear(&cp->out);
    return st == OK ? copy_flush(ctx, cp) : st;
}

static enum status
put_row(struct ctx *ctx, struct copy *cp, const struct db_arg *args)
{
    const size_t n = cp->stmt->n_params;
    const char count[2] = {(char)(n >> 8), (char)n};
    enum status st = verb_check(ctx, cp->stmt, DB_KIND_COPY, (struct db_args){args, n}, 0);

    if (st != OK)
        return st;
    buf_put(&cp->out, count, sizeof(count));
    for (size_t i = 0; i < n; i++)
        value_append(&cp->out, &cp->scratch, &args[i]);
    arena_reset(&cp->scratch);
    if (cp->out.overflow)
        return fail_plain(ctx, TOO_LARGE);
    cp->rows++;
    return cp->out.len < CHUNK ? OK : send_out(ctx, cp);
}

static enum status
put_rows(struct ctx *ctx, struct copy *cp)
{
    struct db_arg args[VALUE_MAX_PARAMS];
    enum status st = OK;

    buf_put(&cp->out, head, sizeof(head));
    while (st == OK) {
        st = cp->next(ctx, cp->arg, args);
        if (st == OK)
            st = put_row(ctx, cp, args);
    }
    if (st != END)
        return st;
    buf_put(&cp->out, tail, sizeof(tail));
    return send_out(ctx, cp);
}

/* Reads results up to NULL; the first error is recorded. */
static enum status
finish_results(struct ctx *ctx, struct copy *cp, enum status st)
{
    for (;;) {
        PGresult *res = NULL;
        enum status got = copy_result(ctx, cp, &res);
        if (got != OK)
            return got;
        if (!res)
            return st;
        if (PQresultStatus(res) == PGRES_FATAL_ERROR && st == OK) {
            cp->lease->failed = true;
            cp->lease->conflict = sqlstate_is_conflict(sqlstate_of(res));
            st = sqlstate_fail(ctx, cp->stmt, res);
        }
        PQclear(res);
    }
}

static enum status
end_copy(struct ctx *ctx, struct copy *cp, const char *why)
{
    enum status st = OK;

    while (st == OK) {
        int r = cp->lease->conn ? PQputCopyEnd(cp->lease->conn->pq, why) : -1;
        if (r == 1)
            return copy_flush(ctx, cp);
        st = r < 0 ? copy_lost(ctx, cp) : copy_wait(ctx, cp, true);
    }
    return st;
}

/* From the statement to the answer of its end. */
static enum status
run_copy(struct ctx *ctx, struct copy *cp)
{
    PGresult *res = NULL;
    enum status st;
    bool copying;

    if (PQsendQuery(cp->lease->conn->pq, cp->stmt->sql) != 1)
        return copy_lost(ctx, cp);
    st = copy_flush(ctx, cp);
    if (st == OK)
        st = copy_result(ctx, cp, &res);
    if (st != OK)
        return st;
    copying = PQresultStatus(res) == PGRES_COPY_IN;
    if (!copying) {
        cp->lease->failed = true;
        st = sqlstate_fail(ctx, cp->stmt, res);
    }
    PQclear(res);
    if (copying) {
        st = put_rows(ctx, cp);
        cp->lease->failed = cp->lease->failed || st != OK;
        if (end_copy(ctx, cp, st == OK ? NULL : "given up") != OK)
            return ctx->error.status;
    }
    return cp->lease->conn ? finish_results(ctx, cp, st) : st;
}

/* Waits until BEGIN has been answered, then takes the connection out of pipeline mode. */
static enum status
leave_pipeline(struct ctx *ctx, struct copy *cp)
{
    struct db_lease *l = cp->lease;
    enum status st = tx_settle(ctx, l);

    if (st != OK)
        return st;
    if (PQexitPipelineMode(l->conn->pq) != 1)
        return copy_lost(ctx, cp);
    l->conn->manual = true;
    l->wait_until = NSEC_NEVER;
    return OK;
}

static void
enter_pipeline(struct copy *cp)
{
    struct conn *c = cp->lease->conn;

    if (!c)
        return;
    if (PQtransactionStatus(c->pq) == PQTRANS_ACTIVE || PQenterPipelineMode(c->pq) != 1) {
        cp->lease->failed = true; /* the fiber left in the middle */
        conn_break(c, FATE_SHUTDOWN, "COPY was given up");
        return;
    }
    c->manual = false;
    conn_poll(c, UV_READABLE);
}

static enum status
copy_in_tx(struct ctx *ctx, void *arg)
{
    struct copy *cp = arg;
    enum status st;

    cp->lease = ctx->tx;
    cp->rows = 0;
    st = leave_pipeline(ctx, cp);
    if (st != OK)
        return st;
    buf_init(&cp->out, MAX_ROW);
    arena_init(&cp->scratch, 0);
    st = run_copy(ctx, cp);
    enter_pipeline(cp);
    arena_fini(&cp->scratch);
    buf_fini(&cp->out);
    pool_count(cp->lease->pool, COUNT_STATEMENTS);
    return st;
}

enum status
db_copy_in(struct ctx *ctx, const struct db_stmt *stmt, db_copy_fn next, void *arg,
           int64_t *ret_rows)
{
    struct copy cp = {.stmt = stmt, .next = next, .arg = arg};
    enum status st;

    if (stmt->kind != DB_KIND_COPY || stmt->id == 0) {
        st = fail_plain(ctx, INTERNAL_ERROR);
        fail_detail(ctx, "statement %s: it is for another verb", stmt->name);
        return st;
    }
    st = tx_do(ctx, DB_READ_COMMITTED, copy_in_tx, &cp, 1); /* the rows are given once */
    if (st == OK && ret_rows)
        *ret_rows = cp.rows;
    return st;
}
