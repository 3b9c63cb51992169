/* The verbs that a fiber calls. What arrives is decoded here, by the fiber that waited for it. */
#include "db/verb.h"

#include <stdlib.h>

#include "db/lease.h"
#include "db/sqlstate.h"

enum status
verb_pool(struct ctx *ctx, struct pool **ret)
{
    struct pool *p = pool_of(ctx->reactor);

    if (!p)
        return fail_plain(ctx, SHUTTING_DOWN);
    *ret = p;
    return OK;
}

static enum status
fail_inside(struct ctx *ctx, const struct db_stmt *stmt, const char *what)
{
    enum status st = fail_plain(ctx, INTERNAL_ERROR);

    fail_detail(ctx, "statement %s: %s", stmt->name, what);
    return st;
}

enum status
verb_check(struct ctx *ctx, const struct db_stmt *stmt, enum db_kind kind, struct db_args args,
           size_t row_size)
{
    const char *wrong;

    if (stmt->kind != kind || stmt->id == 0)
        return fail_inside(ctx, stmt, "it is for another verb, or was not given to db_open");
    if (stmt->row && row_size != 0 && row_size != stmt->row[0].row_size)
        return fail_inside(ctx, stmt, "the row is not of its row map's struct");
    wrong = value_check(stmt->params, stmt->n_params, args);
    if (!wrong)
        return OK;
    if (wrong[0] == VALUE_TOO_LARGE[0] && strcmp(wrong, VALUE_TOO_LARGE) == 0)
        return fail_plain(ctx, TOO_LARGE);
    return fail_inside(ctx, stmt, wrong);
}

enum status
verb_fail(struct ctx *ctx, const struct request *q)
{
    const struct db_stmt *stmt = q->items[q->failed].stmt;
    enum status st;

    switch (q->fate) {
    case FATE_FAILED:
        return sqlstate_fail(ctx, stmt, q->results[q->failed]);
    case FATE_TIMEOUT:
        st = fail_plain(ctx, DB_TIMEOUT);
        fail_detail(ctx, "statement %s: no answer in time%s", stmt->name,
                    q->reads ? "" : "; outcome unknown");
        return st;
    case FATE_SHUTDOWN:
        st = fail_plain(ctx, SHUTTING_DOWN);
        if (q->attempts > 0 && !q->reads)
            fail_detail(ctx, "statement %s: outcome unknown", stmt->name);
        return st;
    case FATE_AWAY:
        st = fail_plain(ctx, DB_UNAVAILABLE);
        fail_detail(ctx, "statement %s: no connection in time; %s", stmt->name,
                    q->attempts == 0 || q->reads ? "not sent" : "outcome unknown");
        return st;
    default:
        st = fail_plain(ctx, DB_UNAVAILABLE);
        fail_detail(ctx, "statement %s: connection lost%s", stmt->name,
                    q->reads ? "" : "; outcome unknown");
        return st;
    }
}

static void
wake_owner(struct request *q)
{
    fiber_wake(q->owner);
}

enum status
verb_wait(struct ctx *ctx, struct request *q)
{
    enum status st = OK;

    while (q->state != REQUEST_DONE) {
        st = fiber_park(ctx);
        if (st != OK) {
            request_detach(q);
            return st;
        }
    }
    if (q->fate != FATE_OK) {
        st = verb_fail(ctx, q);
        request_free(q);
    }
    return st;
}

enum status
verb_run(struct ctx *ctx, const struct db_item *items, size_t n, struct request **ret)
{
    struct pool *p;
    struct request *q;
    enum status st = verb_pool(ctx, &p);

    if (st != OK)
        return st;
    if (ctx->tx)
        return tx_run(ctx, items, n, ret);
    q = request_new(p, &ctx->who, items, n);
    q->owner = fiber_self();
    q->done = wake_owner;
    if (!request_submit(q)) {
        request_free(q);
        st = fail_plain(ctx, DB_UNAVAILABLE);
        fail_detail(ctx, "statement %s: the queue is full", items[0].stmt->name);
        return st;
    }
    st = verb_wait(ctx, q);
    if (st == OK)
        *ret = q;
    return st;
}

/* ---- decoding ---------------------------------------------------------------------------------
 */

static enum status
decode_row(struct ctx *ctx, struct pool *p, const struct db_stmt *stmt, const PGresult *res, int i,
           void *out)
{
    const char *wrong = row_decode(ctx->arena, &p->plans[stmt->id], res, i, out);

    return wrong ? fail_inside(ctx, stmt, wrong) : OK;
}

static enum status
decode_single(struct ctx *ctx, struct pool *p, const struct db_item *item, const PGresult *res)
{
    const struct db_stmt *stmt = item->stmt;
    const int n = PQntuples(res);
    void *row;
    enum status st;

    if (n > 1)
        return fail_inside(ctx, stmt, "more than one row");
    if (n == 0 && stmt->kind == DB_KIND_ONE) {
        if (item->absent == REASON_NONE)
            return fail_inside(ctx, stmt, "no row");
        return fail_at(ctx, item->absent, __FILE__, __LINE__, NULL);
    }
    if (n == 1) {
        row = arena_alloc(ctx->arena, stmt->row[0].row_size); /* written on success only */
        st = decode_row(ctx, p, stmt, res, 0, row);
        if (st != OK)
            return st;
        memcpy(item->ret_rows, row, stmt->row[0].row_size);
    }
    if (item->ret_n)
        *item->ret_n = (size_t)n;
    return OK;
}

static enum status
decode_many(struct ctx *ctx, struct pool *p, const struct db_item *item, const PGresult *res)
{
    const size_t width = item->stmt->row[0].row_size;
    const int n = PQntuples(res);
    char *rows = arena_array(ctx->arena, (size_t)n, width);

    for (int i = 0; i < n; i++) {
        enum status st = decode_row(ctx, p, item->stmt, res, i, rows + (size_t)i * width);
        if (st != OK)
            return st;
    }
    *(void **)item->ret_rows = rows;
    if (item->ret_n)
        *item->ret_n = (size_t)n;
    return OK;
}

enum status
verb_decode(struct ctx *ctx, struct pool *p, const struct db_item *item, const PGresult *res)
{
    if (!item->stmt->row) {
        if (item->ret_n)
            *item->ret_n = (size_t)strtoull(PQcmdTuples((PGresult *)res), NULL, 10);
        return OK;
    }
    if (item->stmt->kind == DB_KIND_MANY)
        return decode_many(ctx, p, item, res);
    return decode_single(ctx, p, item, res);
}

/* ---- the verbs --------------------------------------------------------------------------------
 */

static enum status
run_items(struct ctx *ctx, const struct db_item *items, size_t n)
{
    struct request *q;
    enum status st;

    for (size_t i = 0; i < n; i++) {
        st = verb_check(ctx, items[i].stmt, items[i].stmt->kind, items[i].args, items[i].row_size);
        if (st != OK)
            return st;
    }
    st = verb_run(ctx, items, n, &q);
    if (st != OK)
        return st;
    for (size_t i = 0; i < n && st == OK; i++)
        st = verb_decode(ctx, q->pool, &items[i], q->results[i]);
    request_free(q);
    return st;
}

static enum status
run_one(struct ctx *ctx, const struct db_item *item, enum db_kind kind)
{
    if (item->stmt->kind != kind)
        return fail_inside(ctx, item->stmt, "it is for another verb");
    return run_items(ctx, item, 1);
}

enum status
db_one_at(struct ctx *ctx, const struct db_stmt *stmt, struct db_args args, enum reason absent,
          void *ret_row, size_t row_size)
{
    const struct db_item item = {stmt, args, absent, ret_row, row_size, NULL};

    return run_one(ctx, &item, DB_KIND_ONE);
}

enum status
db_maybe_at(struct ctx *ctx, const struct db_stmt *stmt, struct db_args args, void *ret_row,
            size_t row_size, bool *ret_found)
{
    size_t n = 0;
    const struct db_item item = {stmt, args, REASON_NONE, ret_row, row_size, &n};
    enum status st = run_one(ctx, &item, DB_KIND_MAYBE);

    if (st == OK)
        *ret_found = n > 0;
    return st;
}

enum status
db_many_at(struct ctx *ctx, const struct db_stmt *stmt, struct db_args args, void **ret_rows,
           size_t row_size, size_t *ret_n)
{
    const struct db_item item = {stmt, args, REASON_NONE, (void *)ret_rows, row_size, ret_n};

    return run_one(ctx, &item, DB_KIND_MANY);
}

enum status
db_exec(struct ctx *ctx, const struct db_stmt *stmt, struct db_args args, int64_t *ret_affected)
{
    size_t n = 0;
    const struct db_item item = {stmt, args, REASON_NONE, NULL, 0, &n};
    enum status st = run_one(ctx, &item, DB_KIND_EXEC);

    if (st == OK && ret_affected)
        *ret_affected = (int64_t)n;
    return st;
}

enum status
db_batch(struct ctx *ctx, const struct db_item *items, size_t n)
{
    ASSERT(n <= DB_MAX_BATCH);
    return n == 0 ? OK : run_items(ctx, items, n);
}
