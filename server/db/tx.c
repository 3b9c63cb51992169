/*
 * Transactions: BEGIN and the caller's identity travel with the first statement, so that a
 * transaction of n statements takes n + 1 round trips.
 */
#include "db/db.sql.h"
#include "db/lease.h"
#include "db/sqlstate.h"
#include "db/verb.h"

#define MAX_TRIES   10
#define PAUSE_FIRST USEC(500)
#define PAUSE_LAST  MSEC(100)

/* Sends BEGIN and who is asking, unless they have been sent. False: the connection broke. */
static bool
tx_begin(struct ctx *ctx, struct db_lease *l)
{
    if (l->begun)
        return true;
    l->begun = true;
    return conn_send_internal(l->conn, l->begin, DB_NO_ARGS, FLIGHT_COMMAND) &&
           conn_send_identity(l->conn, ctx->who.account_id, ctx->who.role);
}

static void
wake_owner(struct request *q)
{
    fiber_wake(q->owner);
}

static enum status
fail_lost(struct ctx *ctx, const struct db_lease *l)
{
    enum status st =
        l->pool->closing ? fail_plain(ctx, SHUTTING_DOWN) : fail_plain(ctx, DB_UNAVAILABLE);

    fail_detail(ctx, "connection lost in a transaction");
    return st;
}

enum status
tx_run(struct ctx *ctx, const struct db_item *items, size_t n, struct request **ret)
{
    struct db_lease *l = ctx->tx;
    struct request *q;
    enum status st;

    if (!l->conn || !tx_begin(ctx, l))
        return fail_lost(ctx, l);
    q = request_new(l->pool, &ctx->who, items, n);
    q->owner = l->fiber;
    q->done = wake_owner;
    q->pinned = q->solo = true;
    conn_send(l->conn, q);
    if (l->conn)
        conn_sync(l->conn);
    while (q->state != REQUEST_DONE) {
        st = fiber_park(ctx);
        if (st != OK) {
            l->failed = true;
            request_detach(q);
            return st;
        }
    }
    if (q->fate != FATE_OK) {
        l->failed = true;
        l->conflict =
            q->fate == FATE_FAILED && sqlstate_is_conflict(sqlstate_of(q->results[q->failed]));
        st = verb_fail(ctx, q);
        request_free(q);
        return st;
    }
    *ret = q;
    return OK;
}

enum status
tx_settle(struct ctx *ctx, struct db_lease *l)
{
    const struct db_item item = {.stmt = &sql_db_ping};
    struct request *q;
    enum status st;

    if (l->begun && l->conn)
        return OK;
    st = tx_run(ctx, &item, 1, &q);
    if (st == OK)
        request_free(q);
    return st;
}

/* Nobody waits for the answer; the connection is free again when it has come. */
static void
roll_back(struct db_lease *l)
{
    if (!l->conn || !l->begun)
        return;
    if (conn_send_internal(l->conn, &sql_db_rollback, DB_NO_ARGS, FLIGHT_COMMAND))
        conn_sync(l->conn);
}

static enum status
commit(struct ctx *ctx, struct db_lease *l)
{
    const struct db_item item = {.stmt = &sql_db_commit};
    struct request *q;
    enum status st;

    if (!l->begun) /* no statement was run */
        return OK;
    if (l->failed) {
        roll_back(l);
        st = fail_plain(ctx, INTERNAL_ERROR);
        fail_detail(ctx, "a statement of the transaction failed and its failure was ignored");
        return st;
    }
    if (!l->conn)
        return fail_lost(ctx, l);
    l->commit_sent = true;
    st = tx_run(ctx, &item, 1, &q);
    if (st != OK)
        return st;
    if (strcmp(PQcmdStatus(q->results[0]), "COMMIT") != 0) {
        st = fail_plain(ctx, INTERNAL_ERROR);
        fail_detail(ctx, "COMMIT was answered with %s", PQcmdStatus(q->results[0]));
    }
    request_free(q);
    return st;
}

/* One try. *ret_again: it failed for what may go better the next time. */
static enum status
try_once(struct ctx *ctx, const struct db_stmt *begin, db_tx_fn fn, void *arg, bool *ret_again)
{
    struct db_lease *l;
    enum status st = lease_acquire(ctx, &l);

    if (st != OK)
        return st;
    l->begin = begin;
    ctx->tx = l;
    st = fn(ctx, arg);
    if (st == OK)
        st = commit(ctx, l);
    else
        roll_back(l);
    ctx->tx = NULL;
    /* A connection that was lost before COMMIT went out has taken the whole transaction with it. */
    *ret_again = st != OK && (l->conflict || (!l->conn && !l->commit_sent && !l->pool->closing));
    lease_release(l);
    return st;
}

/* Grows from try to try, random in full. */
static nsec_t
pause_before(int tries)
{
    nsec_t most = PAUSE_FIRST << tries;
    uint32_t r;

    if (most > PAUSE_LAST)
        most = PAUSE_LAST;
    random_bytes(&r, sizeof(r));
    return most * (nsec_t)(r >> 8) / (1 << 24);
}

enum status
tx_do(struct ctx *ctx, enum db_isolation level, db_tx_fn fn, void *arg, int max_tries)
{
    static const struct db_stmt *const begins[] = {
        [DB_READ_COMMITTED] = &sql_db_begin_read_committed,
        [DB_REPEATABLE_READ] = &sql_db_begin_repeatable_read,
        [DB_SERIALIZABLE] = &sql_db_begin_serializable,
    };
    enum status st;

    if (ctx->tx)
        return fn(ctx, arg);
    for (int tries = 0;; tries++) {
        bool again = false;
        st = try_once(ctx, begins[level], fn, arg, &again);
        if (st == OK || !again || tries + 1 >= max_tries || ctx_check(ctx) != OK)
            return st;
        pool_count(pool_of(ctx->reactor), COUNT_RETRIED_TX);
        fail_clear(ctx);
        st = fiber_sleep(ctx, pause_before(tries));
        if (st != OK)
            return st;
    }
}

enum status
db_tx_at(struct ctx *ctx, enum db_isolation level, db_tx_fn fn, void *arg)
{
    return tx_do(ctx, level, fn, arg, MAX_TRIES);
}

enum status
db_tx(struct ctx *ctx, db_tx_fn fn, void *arg)
{
    return db_tx_at(ctx, DB_READ_COMMITTED, fn, arg);
}
