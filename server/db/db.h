/*
 * PostgreSQL for stores and jobs: named statements, typed rows, one pipeline a connection.
 *
 * A process opens one `struct db` and attaches it to each reactor. Stores then call the verbs below
 * with the statements that luna_sql() made from their .sql file (embed_sql.cmake says how a file
 * looks). Text, arrays and rows that a verb returns live in ctx->arena.
 *
 * What holds for every verb:
 * - It runs on a fiber of a reactor with an attached db, and suspends that fiber alone.
 * - It fails with, besides what is said beside it: DB_UNAVAILABLE (no connection, queue full, or
 * the connection was lost while a write was under way: then the log's detail says "outcome
 * unknown"), DB_TIMEOUT, DB_CONFLICT, DISK_FULL, CANCELLED_BY_CALLER, DEADLINE_PASSED, the reasons
 * that the statement's `-- error:` lines name, ALREADY_EXISTS_ERROR, IN_USE, BAD_FIELD for values
 * that the schema refuses, INTERNAL_ERROR for what is our own fault. The failure is recorded in
 * ctx.
 * - Out-parameters are written on success only.
 * - OK of a write means committed: it is given when the Sync behind the statement has been
 * answered.
 * - Statements see and change the rows of ctx->who alone: the settings luna.account and luna.role
 *   travel in the transaction of each statement and row-level security reads them. A `-- system`
 *   statement runs as nobody: it sees only what SECURITY DEFINER functions show it.
 * - A cancelled call leaves at once; what it had sent is still executed by the server.
 *
 * Thread: the reactor's own, except where a function says otherwise.
 */
#ifndef LUNA_DB_DB_H
#define LUNA_DB_DB_H

#include <stdio.h>

#include "db/args.h"
#include "run/ctx.h"

struct config;
struct reactor;

/* ---- rows ----------------------------------------------------------------------------------- */

/*
 * How one column of a result becomes one member of a C struct. A map is an array that ends with
 * DB_END, has external linkage and is named <row>_row, as `-- row: <row>` in the .sql file says:
 *
 *     const struct db_col account_row[] = {
 *         DB_COL(struct account, account_id, DB_INT8),
 *         DB_COL_OPT(struct account, deleted_at, DB_TIMESTAMPTZ, has_deleted_at),
 *         DB_END};
 *
 * Columns are matched by name. A result without one of them, with one more, or with another type
 * makes the connection unusable: see db_check.
 */
struct db_col {
    const char *name;
    enum db_type type;
    bool nullable;     /* NULL leaves the member zeroed */
    uint16_t size;     /* of the member */
    uint16_t row_size; /* of the struct */
    uint16_t offset;
    uint16_t has_offset; /* of a bool that tells whether it was not NULL; DB_NO_FLAG: none */
};

#define DB_NO_FLAG UINT16_MAX
#define DB_COL_(T, member, t, is_nullable, flag)                                                   \
    {                                                                                              \
        .name = #member, .type = (t), .nullable = (is_nullable), .size = sizeof(((T *)0)->member), \
        .row_size = sizeof(T), .offset = offsetof(T, member), .has_offset = (flag)                 \
    }
/* NOT NULL: a NULL all the same is an INTERNAL_ERROR. */
#define DB_COL(T, member, type) DB_COL_(T, member, type, false, DB_NO_FLAG)
/* NULL leaves the member 0 or NULL: for text, arrays and where 0 says it all. */
#define DB_COL_NULLABLE(T, member, type) DB_COL_(T, member, type, true, DB_NO_FLAG)
/* `has` is a bool member: true when the column is not NULL. */
#define DB_COL_OPT(T, member, type, has) DB_COL_(T, member, type, true, offsetof(T, has))
#define DB_END       \
    {                \
        .name = NULL \
    }

/* Ready-made maps for statements with one column called `value`: `-- row: db_int8` and so on. */
struct db_int8_value {
    int64_t value;
};
struct db_text_value {
    const char *value; /* NULL when it is */
};
struct db_bool_value {
    bool value;
};
extern const struct db_col db_int8_row[];
extern const struct db_col db_text_row[];
extern const struct db_col db_bool_row[];

/* ---- statements ----------------------------------------------------------------------------- */

enum db_kind {
    DB_KIND_ONE,    /* exactly one row */
    DB_KIND_MAYBE,  /* none or one */
    DB_KIND_MANY,   /* up to its LIMIT */
    DB_KIND_EXEC,   /* no rows, a count */
    DB_KIND_STREAM, /* rows as they come */
    DB_KIND_COPY,   /* COPY ... FROM STDIN (FORMAT binary) */
    DB_KIND_TEXT,   /* not prepared: only its text is kept */
};

enum db_flags {
    DB_READ = 1 << 0,       /* may share a Sync and be sent again */
    DB_SYSTEM = 1 << 1,     /* runs as nobody */
    DB_REPLICA = 1 << 2,    /* may be answered by the replica */
    DB_IDEMPOTENT = 1 << 3, /* a write that may be sent again when its outcome is unknown */
    DB_UNNAMED = 1 << 4,    /* db/list.c's: sent with its text, planned for its values */
};

/* `-- error: key REASON`: key is a constraint's name, a SQLSTATE, or unique, foreign, check. */
struct db_error {
    const char *key;
    enum reason reason;
};

/* One statement, as embed_sql makes it. Its members are constant but `id`, which db_open gives. */
struct db_stmt {
    const char *name; /* also its name in Postgres and in metrics */
    const char *sql;
    enum db_kind kind;
    unsigned flags;
    const enum db_type *params;
    size_t n_params;
    const struct db_col *row;   /* NULL: no rows */
    const struct db_list *list; /* what callers may filter and sort it by: db/list.h; or NULL */
    const struct db_error *errors;
    size_t n_errors;
    size_t id;
};

/* The statements of one .sql file: `extern const struct db_sql quota_sql;` */
struct db_sql {
    const char *name;
    struct db_stmt *const *stmts;
    size_t n;
};

/* ---- opening -------------------------------------------------------------------------------- */

struct db_options {
    const char *url;         /* libpq URL or keywords; copied */
    const char *replica_url; /* "" or NULL: none */
    size_t connections;      /* pipelined ones of each reactor (and as many to the replica) */
    size_t leases;           /* more of them for transactions, streams and COPY, opened at need */
    size_t queue;            /* statements in flight or waiting for each connection */
    nsec_t timeout;          /* statement_timeout, and how long an answer is waited for */
    const struct db_sql *const *sql; /* every statement the process uses */
    size_t n_sql;
};

/* The values of `cfg`; the caller sets `sql` and `n_sql`. */
void db_options_from_config(struct db_options *opt, const struct config *cfg);

struct db;

/* Copies the options and numbers the statements. Connects to nothing. Thread: any, before reactors
 * use the statements. */
struct db *db_open(const struct db_options *opt);

/* After every reactor has been detached. */
void db_close(struct db *db);

enum db_check_result {
    DB_CHECK_OK,
    DB_CHECK_AWAY,     /* not reachable (yet): try again */
    DB_CHECK_REFUSED,  /* a wrong password, role or database: trying again will not help */
    DB_CHECK_MISMATCH, /* a statement does not fit the schema or its row map: do not start */
};

/* Connects once, blocking for at most `timeout`, prepares and describes every statement and
 * compares. Otherwise than OK one line in `err` says what is wrong and with which statement and
 * column. Thread: any that is not a reactor. */
enum db_check_result db_check(const struct db *db, nsec_t timeout, char *err, size_t err_size);

/* Starts the connections of one reactor. Thread: the reactor's, or any before it runs. */
void db_attach(struct db *db, struct reactor *r);

/* Closes them; what still waits fails with SHUTTING_DOWN. The loop must turn once more before the
 * reactor is freed. Thread: the reactor's. */
void db_detach(struct reactor *r);

/* True when a statement sent now would find a connection to the primary. Thread: any. */
bool db_healthy(const struct reactor *r);

/* Suspends until db_healthy, or the deadline. For programs that start. */
enum status db_wait_healthy(struct ctx *ctx) WARN_UNUSED;

/* ---- verbs ---------------------------------------------------------------------------------- */

/* One row into *ret_row, a struct of the statement's row map. No row: fails with reason `absent`.
 * Suspends: once. */
#define db_one(ctx, stmt, args, absent, ret_row) \
    db_one_at((ctx), (stmt), (args), (absent), (ret_row), sizeof(*(ret_row)))
enum status db_one_at(struct ctx *ctx, const struct db_stmt *stmt, struct db_args args,
                      enum reason absent, void *ret_row, size_t row_size) WARN_UNUSED;

/* The same for a row that may be missing: *ret_found tells. Suspends: once. */
#define db_maybe(ctx, stmt, args, ret_row, ret_found) \
    db_maybe_at((ctx), (stmt), (args), (ret_row), sizeof(*(ret_row)), (ret_found))
enum status db_maybe_at(struct ctx *ctx, const struct db_stmt *stmt, struct db_args args,
                        void *ret_row, size_t row_size, bool *ret_found) WARN_UNUSED;

/* All rows, at most the statement's LIMIT: struct x *rows; size_t n; db_many(..., &rows, &n).
 * Without rows *ret_rows is not NULL and *ret_n is 0. Suspends: once. */
#define db_many(ctx, stmt, args, ret_rows, ret_n) \
    db_many_at((ctx), (stmt), (args), (void **)(ret_rows), sizeof(**(ret_rows)), (ret_n))
enum status db_many_at(struct ctx *ctx, const struct db_stmt *stmt, struct db_args args,
                       void **ret_rows, size_t row_size, size_t *ret_n) WARN_UNUSED;

/* Runs it; *ret_affected (may be NULL) is the number of rows inserted, changed or deleted.
 * Suspends: once. */
enum status db_exec(struct ctx *ctx, const struct db_stmt *stmt, struct db_args args,
                    int64_t *ret_affected) WARN_UNUSED;

/* ---- several statements, one round trip ------------------------------------------------------ */

/* One statement of a batch. Made with the macros below. */
struct db_item {
    const struct db_stmt *stmt;
    struct db_args args;
    enum reason absent;
    void *ret_rows; /* the struct to fill; for :many the pointer to set */
    size_t row_size;
    size_t *ret_n; /* may be NULL: rows found (:maybe 0 or 1), or rows changed (:exec) */
};

#define DB_ITEM_ONE(stmt, args, absent, ret_row) \
    ((struct db_item){(stmt), (args), (absent), (ret_row), sizeof(*(ret_row)), NULL})
#define DB_ITEM_MAYBE(stmt, args, ret_row, ret_n) \
    ((struct db_item){(stmt), (args), REASON_NONE, (ret_row), sizeof(*(ret_row)), (ret_n)})
#define DB_ITEM_MANY(stmt, args, ret_rows, ret_n) \
    ((struct db_item){(stmt), (args), REASON_NONE, (ret_rows), sizeof(**(ret_rows)), (ret_n)})
#define DB_ITEM_EXEC(stmt, args, ret_n) \
    ((struct db_item){(stmt), (args), REASON_NONE, NULL, 0, (ret_n)})

/* Runs the statements in order in one transaction and one round trip; at most DB_MAX_BATCH. Either
 * all of them happen, or none: the first failure is recorded. Suspends: once. */
enum status db_batch(struct ctx *ctx, const struct db_item *items, size_t n) WARN_UNUSED;
#define DB_MAX_BATCH 64

/* ---- transactions --------------------------------------------------------------------------- */

enum db_isolation { DB_READ_COMMITTED, DB_REPEATABLE_READ, DB_SERIALIZABLE };

typedef enum status (*db_tx_fn)(struct ctx *ctx, void *arg);

/*
 * Runs `fn(ctx, arg)` in a transaction on a connection of its own: every verb that is called with
 * this ctx meanwhile belongs to it. OK commits, anything else rolls back and is returned. When the
 * server reports a serialization failure or a deadlock, all of it is done again after a random
 * pause, up to 10 times or the deadline, then DB_CONFLICT: `fn` must have no other effects, or
 * repeatable ones. A failed statement aborts the transaction: `fn` should return its status. Inside
 * of `fn`, db_tx joins the transaction that is open. db_gather and db_stream_open are not for use
 * inside. Suspends: may.
 */
enum status db_tx(struct ctx *ctx, db_tx_fn fn, void *arg) WARN_UNUSED;
enum status db_tx_at(struct ctx *ctx, enum db_isolation level, db_tx_fn fn, void *arg) WARN_UNUSED;

/* ---- many rows out -------------------------------------------------------------------------- */

struct db_stream;

/* Starts a :stream statement on a connection of its own. It is closed with the ctx at the latest.
 * Suspends: may (until a connection is free). */
enum status db_stream_open(struct ctx *ctx, const struct db_stmt *stmt, struct db_args args,
                           struct db_stream **ret) WARN_UNUSED;

/* The next row; what it points at is made in `scratch`, which the caller resets as it likes. END
 * after the last. A slow caller slows the server down; memory stays bounded by a few rows and the
 * sockets' buffers. database_timeout holds for each wait, the ctx's deadline for all.
 * Suspends: may. */
#define db_stream_next(s, scratch, ret_row) \
    db_stream_next_at((s), (scratch), (ret_row), sizeof(*(ret_row)))
enum status db_stream_next_at(struct db_stream *s, struct arena *scratch, void *ret_row,
                              size_t row_size) WARN_UNUSED;

/* Ends it early or after the end. Suspends: never. */
void db_stream_close(struct db_stream *s);

/* ---- many rows in --------------------------------------------------------------------------- */

/* Fills `args` (room for the statement's params) with the next row. END: there are no more. What it
 * points at must live until the next call. May suspend. */
typedef enum status (*db_copy_fn)(struct ctx *ctx, void *arg, struct db_arg *args);

/* Sends the rows of `next` by COPY on a connection of its own, in one transaction (that of db_tx
 * when one is open). Postgres has no COPY into tables with row-level security: there, and below
 * some ten thousand rows, use one statement with array arguments and unnest. Suspends: may. */
enum status db_copy_in(struct ctx *ctx, const struct db_stmt *stmt, db_copy_fn next, void *arg,
                       int64_t *ret_rows) WARN_UNUSED;

/* ---- gathered writes ------------------------------------------------------------------------ */

/*
 * Many small writes of one kind in few statements: while a batch is under way the next one fills,
 * and each caller is answered after the commit of the batch that carried its row. Nothing waits for
 * a timer; a lone row leaves in its own turn.
 *
 * The statement's parameters are arrays, as for unnest; a row is given as scalars of their element
 * types. The statement is :exec, or :many with the columns of its row map and a column `ord`
 * (bigint, WITH ORDINALITY: 1 for the first row), by which each caller gets its own row back.
 * Rows of different accounts share a batch only when the statement is `-- system`.
 *
 * A batch that fails for what is in it is halved until the culprit stands alone: it alone fails.
 * When the connection is lost the callers get DB_UNAVAILABLE, or with `-- idempotent` the batch is
 * sent again.
 */
struct db_gather;

struct db_gather_options {
    const struct db_stmt *stmt;
    size_t max_rows;    /* in one batch; 0: 1024 */
    size_t max_waiting; /* rows; beyond: OVERLOADED. 0: 65536 */
    size_t max_batches; /* under way at once; 0: 1 */
};

struct db_gather *db_gather_new(struct reactor *r, const struct db_gather_options *opt);

/* When nobody uses it any more. */
void db_gather_free(struct db_gather *g);

/* Suspends: once, until the row is committed. */
enum status db_gather(struct ctx *ctx, struct db_gather *g, struct db_args row) WARN_UNUSED;

/* For a :many statement: *ret_found tells whether a row came back for this one. Suspends: once. */
#define db_gather_row(ctx, g, row, ret_row, ret_found) \
    db_gather_row_at((ctx), (g), (row), (ret_row), sizeof(*(ret_row)), (ret_found))
enum status db_gather_row_at(struct ctx *ctx, struct db_gather *g, struct db_args row,
                             void *ret_row, size_t row_size, bool *ret_found) WARN_UNUSED;

/* ---- notifications -------------------------------------------------------------------------- */

struct db_listener;

/* Called on the loop, must not suspend. `payload` NULL: the subscription has just begun or begun
 * again, and notifications may have been missed: look for yourself. */
typedef void (*db_listen_fn)(void *arg, const char *payload);

/* Listens on `channel` until db_unlisten, across reconnects, on one connection of the reactor that
 * all its listeners share. */
struct db_listener *db_listen(struct reactor *r, const char *channel, db_listen_fn fn, void *arg);
void db_unlisten(struct db_listener *l); /* also from within `fn` */

/* ---- numbers -------------------------------------------------------------------------------- */

struct db_stats {
    uint64_t connections_ready; /* now, by state */
    uint64_t connections_leased;
    uint64_t connections_connecting; /* connecting or preparing */
    uint64_t connections_waiting;    /* for their next attempt */
    uint64_t in_flight;              /* statements sent and not answered, now */
    uint64_t queued;                 /* statements that wait for a connection, now */
    uint64_t statements;             /* from here on: since the start */
    uint64_t failures;               /* statements that failed, for any reason */
    uint64_t syncs;
    uint64_t flushes;    /* PQflush calls of the turn hook */
    uint64_t identities; /* set_config statements sent before others */
    uint64_t connects;   /* connections that became ready */
    uint64_t connect_failures;
    uint64_t lost;          /* connections that broke while ready */
    uint64_t retried_reads; /* sent again: a neighbour or the connection failed */
    uint64_t retried_transactions;
    uint64_t detached; /* callers that left before their answer */
    uint64_t timeouts; /* connections closed because they did not answer */
    uint64_t refused;  /* statements refused: queue full */
    uint64_t gathered_rows;
    uint64_t gathered_batches;
    uint64_t notifications;
};

/* Thread: any; numbers of one reactor, each exact, together not a snapshot. */
void db_stats_read(const struct reactor *r, struct db_stats *ret);

struct db_stmt_stats {
    uint64_t calls;
    uint64_t failures;
    uint64_t rows;
    uint64_t total_ns; /* from the verb to its answer */
};

/* The statements of the process in the order of their ids, NULL behind the last. Thread: any. */
const struct db_stmt *db_stmt_by_id(const struct db *db, size_t id);
void db_stmt_stats_read(const struct reactor *r, const struct db_stmt *stmt,
                        struct db_stmt_stats *ret);

/* ---- migrations ----------------------------------------------------------------------------- */

/* migrations/NNNN_name.{up,down}.sql, embedded at build time in the order of their numbers. */
struct db_migration {
    int number;
    const char *name; /* "0001_accounts" */
    const char *up;
    const char *down;
    const char *checksum; /* SHA-256 of both, hex */
};
extern const struct db_migration db_migrations[];
extern const size_t db_migration_count;

enum db_migrate_command {
    DB_MIGRATE_UP,       /* all that are missing */
    DB_MIGRATE_DOWN,     /* the newest one that is there */
    DB_MIGRATE_STATUS,   /* only tell; fails when the database is not at the newest */
    DB_MIGRATE_RECREATE, /* all down, then all up: destroys the data */
};

bool db_migrate_parse(const char *word, enum db_migrate_command *ret);

/* Runs it as the role of `url`, which becomes the owner of the schema, each migration in a
 * transaction of its own, all under one advisory lock. A migration that was applied and has changed
 * since is refused. Prints a line for each step, and one for what is wrong. Blocks.
 * Thread: any that is not a reactor. */
bool db_migrate(const char *url, const struct db_migration *list, size_t n,
                enum db_migrate_command command, FILE *out);

#endif
