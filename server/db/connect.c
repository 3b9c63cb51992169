/* How a connection comes to be: the handshake, then every statement prepared and described. */
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "db/catalog.h"
#include "db/db.sql.h"
#include "db/pool.h"
#include "db/resolve.h"

#define BACKOFF_FIRST MSEC(20)
#define BACKOFF_LAST  SEC(2)

/* Doubles from 20 ms to 2 s, each time between half and all of it; but those who wait for a
 * connection see two attempts at least. */
nsec_t
conn_backoff(const struct conn *c)
{
    const nsec_t patience = c->pool->db->timeout / 2;
    const nsec_t last = patience < BACKOFF_LAST ? patience : BACKOFF_LAST;
    nsec_t d = c->failures < 7 ? BACKOFF_FIRST << c->failures : last;
    uint32_t r;

    if (d > last)
        d = last;
    random_bytes(&r, sizeof(r));
    return d / 2 + d / 2 * (nsec_t)(r >> 8) / (1 << 24);
}

static void
on_notice(void *arg, const char *message)
{
    (void)arg;
    log_debug("database notice", log_strn("text", str_trim(str_of(message))));
}

static void
connect_to(struct conn *c, const struct endpoints *at)
{
    c->pq = catalog_connect_start(c->pool->db, c->group->url, at);
    ASSERT(c->pq); /* NULL: no memory */
    PQsetNoticeProcessor(c->pq, on_notice, NULL);
    if (FAILPOINT(db_connect)) {
        conn_break(c, FATE_LOST, "failpoint db_connect");
        return;
    }
    if (PQstatus(c->pq) == CONNECTION_BAD) {
        conn_break(c, FATE_LOST, PQerrorMessage(c->pq));
        return;
    }
    conn_poll(c, UV_WRITABLE);
}

static void
on_resolved(void *arg, const struct endpoints *found, const char *why)
{
    struct conn *c = arg;
    char text[256];
    c->resolve = NULL;
    if (found) {
        connect_to(c, found);
        return;
    }
    snprintf(text, sizeof(text), "the host's name cannot be resolved: %s", why);
    conn_break(c, FATE_LOST, text);
}

void
conn_start(struct conn *c)
{
    conn_move(c, CONN_CONNECTING);
    if (!resolve_start(reactor_loop(c->pool->reactor), c->group->url, on_resolved, c, &c->resolve))
        connect_to(c, NULL);
}

static void
begin_preparing(struct conn *c)
{
    if (PQsetnonblocking(c->pq, 1) != 0 || PQenterPipelineMode(c->pq) != 1) {
        conn_break(c, FATE_LOST, PQerrorMessage(c->pq));
        return;
    }
    conn_move(c, CONN_PREPARING);
    c->progress = reactor_now(c->pool->reactor);
    if (conn_prepare_all(c))
        conn_sync(c);
}

void
conn_connect_step(struct conn *c)
{
    switch (PQconnectPoll(c->pq)) {
    case PGRES_POLLING_READING:
        conn_poll(c, UV_READABLE);
        break;
    case PGRES_POLLING_WRITING:
        conn_poll(c, UV_WRITABLE);
        break;
    case PGRES_POLLING_OK:
        begin_preparing(c);
        break;
    default:
        conn_break(c, FATE_LOST, PQerrorMessage(c->pq));
        break;
    }
}

/* A replica is asked nothing but what may go there. */
static bool
wants(const struct conn *c, const struct db_stmt *stmt)
{
    if (!catalog_is_prepared(stmt) || c->group->kind == GROUP_LISTEN)
        return false;
    if (c->group->kind == GROUP_REPLICA)
        return (stmt->flags & DB_REPLICA) || stmt == &sql_db_identity || stmt == &sql_db_session;
    return true;
}

static bool
prepare(struct conn *c, const struct db_stmt *stmt)
{
    pg_oid oids[VALUE_MAX_PARAMS];

    for (size_t i = 0; i < stmt->n_params; i++)
        oids[i] = value_types[stmt->params[i]].oid;
    if (PQsendPrepare(c->pq, stmt->name, stmt->sql, (int)stmt->n_params, oids) != 1)
        return false;
    conn_push_flight(c, FLIGHT_PREPARE)->stmt = stmt;
    if (PQsendDescribePrepared(c->pq, stmt->name) != 1)
        return false;
    conn_push_flight(c, FLIGHT_DESCRIBE)->stmt = stmt;
    return true;
}

bool
conn_prepare_all(struct conn *c)
{
    const struct db *db = c->pool->db;
    char ms[24];

    for (size_t i = 0; i < db->n_stmts; i++) {
        if (wants(c, db->stmts[i]) && !prepare(c, db->stmts[i])) {
            conn_break(c, FATE_LOST, PQerrorMessage(c->pq));
            return false;
        }
    }
    if (c->group->kind == GROUP_LISTEN)
        return true;
    snprintf(ms, sizeof(ms), "%lld", (long long)(db->timeout / MSEC(1)));
    return conn_send_internal(c, &sql_db_session, DB_ARGS(db_text(ms), db_text(ms)),
                              FLIGHT_COMMAND);
}

bool
conn_take_prepared(struct conn *c, const struct flight *f, const PGresult *res)
{
    const struct db_stmt *stmt = f->stmt;
    char err[512];

    if (PQresultStatus(res) == PGRES_PIPELINE_ABORTED)
        return true; /* the cause has been seen */
    if (catalog_check_result(stmt, f->kind == FLIGHT_DESCRIBE, res, &c->pool->plans[stmt->id], err,
                             sizeof(err)))
        return true;
    if (c->failures % 16 == 0)
        log_error("database statement does not fit", log_str("why", err));
    conn_break(c, FATE_LOST, err);
    return false;
}
