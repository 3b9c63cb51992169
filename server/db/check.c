/* The comparison at start: the same as on each connection, but blocking, and with an answer. */
#include <poll.h>

#include "db/catalog.h"
#include "db/list.h"
#include "db/pool.h"

/* Blocks until the handshake is over. False: it failed, or took until `until`. */
static bool
finish_connecting(PGconn *pq, nsec_t until)
{
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;

    while (want == PGRES_POLLING_WRITING || want == PGRES_POLLING_READING) {
        struct pollfd fd = {.fd = PQsocket(pq),
                            .events = want == PGRES_POLLING_WRITING ? POLLOUT : POLLIN};
        const nsec_t left = until - clock_now();
        if (PQstatus(pq) == CONNECTION_BAD || left <= 0 || fd.fd < 0)
            return false;
        if (poll(&fd, 1, (int)(left / MSEC(1)) + 1) > 0)
            want = PQconnectPoll(pq);
    }
    return want == PGRES_POLLING_OK;
}

/* Bad credentials and missing databases stay so; a server that starts or is away may come. */
static bool
is_refused(const PGconn *pq)
{
    static const char *const texts[] = {
        "authentication failed", "does not exist", "no password supplied",
        "no pg_hba.conf entry",  "invalid",        "is not permitted"};
    const char *message = PQerrorMessage(pq);

    if (strstr(message, "No such file")) /* the socket: the server is down */
        return false;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (strstr(message, texts[i]))
            return true;
    return false;
}

/* That every column of a list exists and compares as its `column` line says. */
static bool
check_list(PGconn *pq, const struct db_stmt *stmt, char *err, size_t err_size)
{
    pg_oid oids[VALUE_MAX_PARAMS];
    struct row_plan plan = {.made = false};
    struct arena a;
    const struct db_stmt *probe;
    bool good = false;

    arena_init(&a, 0);
    probe = db_list_probe(&a, stmt, err, err_size);
    if (probe) {
        PGresult *res;
        for (size_t i = 0; i < probe->n_params; i++)
            oids[i] = value_types[probe->params[i]].oid;
        res = PQprepare(pq, "", probe->sql, (int)probe->n_params, oids);
        good = catalog_check_result(probe, false, res, &plan, err, err_size);
        PQclear(res);
    }
    arena_fini(&a);
    return good;
}

static bool
check_one(PGconn *pq, const struct db_stmt *stmt, char *err, size_t err_size)
{
    pg_oid oids[VALUE_MAX_PARAMS];
    struct row_plan plan = {.made = false};
    PGresult *res;
    bool good;

    for (size_t i = 0; i < stmt->n_params; i++)
        oids[i] = value_types[stmt->params[i]].oid;
    res = PQprepare(pq, stmt->name, stmt->sql, (int)stmt->n_params, oids);
    good = catalog_check_result(stmt, false, res, &plan, err, err_size);
    PQclear(res);
    if (!good)
        return false;
    res = PQdescribePrepared(pq, stmt->name);
    good = catalog_check_result(stmt, true, res, &plan, err, err_size);
    PQclear(res);
    row_plan_fini(&plan);
    return good && (!stmt->list || check_list(pq, stmt, err, err_size));
}

enum db_check_result
db_check(const struct db *db, nsec_t timeout, char *err, size_t err_size)
{
    PGconn *pq = catalog_connect_start(db, db->url, NULL);
    enum db_check_result result = DB_CHECK_OK;

    ASSERT(pq);
    if (!finish_connecting(pq, clock_now() + timeout)) {
        struct str why = str_trim(str_of(PQerrorMessage(pq)));
        snprintf(err, err_size, STR_FMT, STR_ARG(why.n > 0 ? why : STR("no answer")));
        result = is_refused(pq) ? DB_CHECK_REFUSED : DB_CHECK_AWAY;
    }
    for (size_t i = 0; i < db->n_stmts && result == DB_CHECK_OK; i++) {
        if (catalog_is_prepared(db->stmts[i]) && !check_one(pq, db->stmts[i], err, err_size))
            result = PQstatus(pq) == CONNECTION_OK ? DB_CHECK_MISMATCH : DB_CHECK_AWAY;
    }
    PQfinish(pq);
    return result;
}
