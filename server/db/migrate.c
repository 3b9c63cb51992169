/* Migrations, with libpq's blocking calls: nothing else runs in that process. */
#include <libpq-fe.h>
#include <stdlib.h>

#include "base/str.h"
#include "db/db.h"
#include "db/db.sql.h"

struct migrator {
    PGconn *pq;
    FILE *out;
    const struct db_migration *list;
    size_t n;
    size_t applied; /* how many of them the database has, from the first */
};

bool
db_migrate_parse(const char *word, enum db_migrate_command *ret)
{
    static const char *const words[] = {
        [DB_MIGRATE_UP] = "up",
        [DB_MIGRATE_DOWN] = "down",
        [DB_MIGRATE_STATUS] = "status",
        [DB_MIGRATE_RECREATE] = "recreate",
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            *ret = (enum db_migrate_command)i;
            return true;
        }
    }
    return false;
}

/* Prints libpq's message as one line. */
static bool
say_error(struct migrator *m, const char *what)
{
    struct str all = str_trim(str_of(PQerrorMessage(m->pq)));
    struct str line = str_cut(&all, '\n');

    fprintf(m->out, "migrate: %s: " STR_FMT "\n", what, STR_ARG(line));
    return false;
}

static PGresult *
query(struct migrator *m, const struct db_stmt *stmt, int n, const char *const *values)
{
    PGresult *res = PQexecParams(m->pq, stmt->sql, n, NULL, values, NULL, NULL, 0);

    if (PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK)
        return res;
    say_error(m, stmt->name);
    PQclear(res);
    return NULL;
}

static bool
run(struct migrator *m, const struct db_stmt *stmt)
{
    PGresult *res = query(m, stmt, 0, NULL);

    PQclear(res);
    return res != NULL;
}

/* A whole migration: many statements in one string. */
static bool
run_script(struct migrator *m, const char *name, const char *sql)
{
    PGresult *res = PQexec(m->pq, sql);
    const bool good =
        PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK;

    PQclear(res);
    return good || say_error(m, name);
}

/* Compares what is there with what we have. */
static bool
read_applied(struct migrator *m)
{
    PGresult *res = query(m, &sql_migrate_list, 0, NULL);
    bool good = res != NULL;

    for (int i = 0; good && i < PQntuples(res); i++) {
        const char *name = PQgetvalue(res, i, 1);
        if ((size_t)i >= m->n || strtol(PQgetvalue(res, i, 0), NULL, 10) != m->list[i].number) {
            fprintf(m->out, "migrate: the database has %s, which this program does not know\n",
                    name);
            good = false;
        } else if (strcmp(PQgetvalue(res, i, 2), m->list[i].checksum) != 0) {
            fprintf(m->out, "migrate: %s was changed after it had been applied\n", name);
            good = false;
        }
    }
    if (good)
        m->applied = (size_t)PQntuples(res);
    PQclear(res);
    return good;
}

static bool
note(struct migrator *m, const struct db_migration *mig, bool up)
{
    char number[16];
    const char *const values[] = {number, mig->name, mig->checksum};
    PGresult *res;

    snprintf(number, sizeof(number), "%d", mig->number);
    res = query(m, up ? &sql_migrate_insert : &sql_migrate_delete, up ? 3 : 1, values);
    PQclear(res);
    return res != NULL;
}

/* One migration and the note of it, in one transaction. */
static bool
apply(struct migrator *m, const struct db_migration *mig, bool up)
{
    const bool good = run(m, &sql_migrate_begin) && run(m, &sql_migrate_lock_timeout) &&
                      run_script(m, mig->name, up ? mig->up : mig->down) && note(m, mig, up) &&
                      run(m, &sql_migrate_commit);

    if (good)
        fprintf(m->out, "migrate: %s %s\n", up ? "up" : "down", mig->name);
    else if (PQtransactionStatus(m->pq) != PQTRANS_IDLE)
        (void)run(m, &sql_migrate_rollback);
    return good;
}

static bool
go_up(struct migrator *m)
{
    while (m->applied < m->n) {
        if (!apply(m, &m->list[m->applied], true))
            return false;
        m->applied++;
    }
    fprintf(m->out, "migrate: the database is at %s\n", m->n ? m->list[m->n - 1].name : "nothing");
    return true;
}

static bool
go_down(struct migrator *m, size_t to)
{
    while (m->applied > to) {
        if (!apply(m, &m->list[m->applied - 1], false))
            return false;
        m->applied--;
    }
    return true;
}

static bool
status(struct migrator *m)
{
    for (size_t i = 0; i < m->n; i++)
        fprintf(m->out, "migrate: %s %s\n", i < m->applied ? "applied" : "missing",
                m->list[i].name);
    return m->applied == m->n;
}

static bool
run_command(struct migrator *m, enum db_migrate_command command)
{
    switch (command) {
    case DB_MIGRATE_UP:
        return go_up(m);
    case DB_MIGRATE_DOWN:
        return go_down(m, m->applied > 0 ? m->applied - 1 : 0);
    case DB_MIGRATE_RECREATE:
        return go_down(m, 0) && go_up(m);
    case DB_MIGRATE_STATUS:
        return status(m);
    }
    return false;
}

/* `status` changes nothing, not even by making its table. */
static bool
prepare_table(struct migrator *m, enum db_migrate_command command, bool *ret_there)
{
    PGresult *res;

    *ret_there = true;
    if (command != DB_MIGRATE_STATUS)
        return run(m, &sql_migrate_create_table);
    res = query(m, &sql_migrate_table_exists, 0, NULL);
    *ret_there = res && strcmp(PQgetvalue(res, 0, 0), "t") == 0;
    PQclear(res);
    return res != NULL;
}

static bool
migrate_locked(struct migrator *m, enum db_migrate_command command)
{
    bool there;

    if (!prepare_table(m, command, &there))
        return false;
    if (there && !read_applied(m))
        return false;
    return run_command(m, command);
}

bool
db_migrate(const char *url, const struct db_migration *list, size_t n,
           enum db_migrate_command command, FILE *out)
{
    const char *const keys[] = {"application_name", "client_encoding", "dbname", NULL};
    const char *const values[] = {"luna migrate", "UTF8", url, NULL};
    struct migrator m = {.out = out, .list = list, .n = n};
    bool good;

    m.pq = PQconnectdbParams(keys, values, 1);
    if (PQstatus(m.pq) != CONNECTION_OK)
        good = say_error(&m, "cannot connect");
    else
        good = run(&m, &sql_migrate_session) && run(&m, &sql_migrate_lock) &&
               migrate_locked(&m, command); /* the lock ends with the session */
    PQfinish(m.pq);
    return good;
}
