#include "db/catalog.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/config.h"
#include "db/db.sql.h"
#include "db/pool.h"
#include "db/resolve.h"

/* Ids are the process's, so that a statement may be used with several databases (tests do). */
static pthread_mutex_t ids_lock = PTHREAD_MUTEX_INITIALIZER;
static size_t last_id;

bool
catalog_is_prepared(const struct db_stmt *stmt)
{
    return stmt->kind != DB_KIND_TEXT && stmt->kind != DB_KIND_COPY;
}

void
db_options_from_config(struct db_options *opt, const struct config *cfg)
{
    *opt = (struct db_options){
        .url = cfg->database_url,
        .replica_url = cfg->database_replica_url,
        .connections = (size_t)cfg->database_connections,
        .leases = (size_t)cfg->database_leases,
        .queue = (size_t)cfg->database_queue,
        .timeout = cfg->database_timeout,
    };
}

static char *
copy(const char *s)
{
    char *c = s && s[0] ? strdup(s) : NULL;

    ASSERT(c || !s || !s[0]);
    return c;
}

static void
add_set(struct db *db, const struct db_sql *set)
{
    for (size_t i = 0; i < set->n; i++) {
        struct db_stmt *stmt = set->stmts[i];
        if (stmt->id == 0)
            stmt->id = ++last_id;
        db->stmts[db->n_stmts++] = stmt;
    }
}

struct db *
db_open(const struct db_options *opt)
{
    struct db *db = calloc(1, sizeof(*db));
    size_t n = db_sql.n;

    ASSERT(db);
    *db = (struct db){
        .url = copy(opt->url ? opt->url : ""),
        .replica_url = copy(opt->replica_url),
        .connections = opt->connections ? opt->connections : 1,
        .leases = opt->leases ? opt->leases : 1,
        .queue = opt->queue ? opt->queue : 1024,
        .timeout = opt->timeout > 0 ? opt->timeout : SEC(5),
    };
    for (size_t i = 0; i < opt->n_sql; i++)
        n += opt->sql[i]->n;
    db->stmts = calloc(n + 1, sizeof(struct db_stmt *));
    ASSERT(db->stmts);
    pthread_mutex_lock(&ids_lock);
    add_set(db, &db_sql);
    for (size_t i = 0; i < opt->n_sql; i++)
        add_set(db, opt->sql[i]);
    db->max_id = last_id + 1;
    pthread_mutex_unlock(&ids_lock);
    return db;
}

void
db_close(struct db *db)
{
    if (!db)
        return;
    free(db->url);
    free(db->replica_url);
    free(db->stmts);
    free(db);
}

const struct db_stmt *
db_stmt_by_id(const struct db *db, size_t id)
{
    return id < db->n_stmts ? db->stmts[id] : NULL;
}

PGconn *
catalog_connect_start(const struct db *db, const char *url, const struct endpoints *at)
{
    char ms[24];
    /* Half-open connections are noticed by the kernel too, also where nothing is under way. */
    const char *const keys[] = {
        "application_name",
        "client_encoding",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "dbname",
        "host",
        "hostaddr",
        "port",
        NULL,
    };
    const char *const values[] = {
        "luna",
        "UTF8",
        "30",
        "10",
        "3",
        ms,
        url ? url : "",
        at ? at->host : NULL,
        at ? at->hostaddr : NULL,
        at ? at->port : NULL,
        NULL,
    };

    snprintf(ms, sizeof(ms), "%lld", (long long)(db->timeout / MSEC(1)));
    return PQconnectStartParams(keys, values, 1); /* what stands in the URL overrules the others */
}

static bool
check_params(const struct db_stmt *stmt, const PGresult *res, char *err, size_t err_size)
{
    if ((size_t)PQnparams(res) != stmt->n_params) {
        snprintf(err, err_size, "statement %s: has %d parameters, declares %zu", stmt->name,
                 PQnparams(res), stmt->n_params);
        return false;
    }
    for (int i = 0; i < PQnparams(res); i++) {
        const struct value_type *t = &value_types[stmt->params[i]];
        if (PQparamtype(res, i) != t->oid) {
            snprintf(err, err_size, "statement %s: parameter $%d has type %u, declared %s (%u)",
                     stmt->name, i + 1, PQparamtype(res, i), t->name, t->oid);
            return false;
        }
    }
    return true;
}

bool
catalog_check_result(const struct db_stmt *stmt, bool described, const PGresult *res,
                     struct row_plan *plan, char *err, size_t err_size)
{
    const char *wrong;

    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
        snprintf(err, err_size, "statement %s: %s", stmt->name,
                 text ? text : PQresultErrorMessage(res));
        return false;
    }
    if (!described)
        return true;
    wrong = stmt->row ? row_map_check(stmt->row) : NULL;
    if (wrong) {
        snprintf(err, err_size, "statement %s: its row map: %s", stmt->name, wrong);
        return false;
    }
    return check_params(stmt, res, err, err_size) && row_plan_make(stmt, res, plan, err, err_size);
}
