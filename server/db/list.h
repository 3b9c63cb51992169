/*
 * Lists that callers filter and sort: a :many statement with a `-- list:` line (embed_sql.py says
 * how it looks). Conditions and orders are trees over the statement's own columns; values are bound
 * as parameters, and the text that is sent consists of the .sql file's expressions and of this
 * file's operators: nothing that a caller wrote gets into it.
 *
 * A list without condition, order and cursor is the prepared statement itself. Another shape is
 * sent as text with its values, so that Postgres plans it for them.
 */
#ifndef LUNA_DB_LIST_H
#define LUNA_DB_LIST_H

#include "db/db.h"

enum db_column_flags {
    DB_COLUMN_FILTERS = 1 << 0,
    DB_COLUMN_SORTS = 1 << 1,
    DB_COLUMN_NULL = 1 << 2, /* may be NULL */
};

/* What callers call a stored text: an enum's value. */
struct db_column_value {
    const char *shown;
    const char *stored;
};

struct db_column {
    const char *name;   /* the callers' */
    const char *sql;    /* the expression */
    const char *result; /* its name in the row map; needed for sorting */
    enum db_type type;
    unsigned flags;
    int64_t unit_us; /* of a number that durations are compared with; 0: it is no duration */
    const struct db_column_value *values; /* NULL: any text */
    size_t n_values;
};

struct db_order {
    const struct db_column *column;
    bool descending;
};

/* NULLs come last, first in a descending order, as Postgres has it. */
struct db_list {
    const char *head; /* the text up to the condition, up to the order, and behind it */
    const char *middle;
    const char *tail;
    const struct db_column *columns;
    size_t n_columns;
    const struct db_order *keys; /* the order that makes rows distinct */
    size_t n_keys;
};

#define DB_LIST_MAX_ORDER 8 /* columns of an order, keys included */

/*
 * A condition. Two-valued: a comparison with NULL is false and its negation true.
 * AND, OR: `kids`, one or more. NOT: kids[0]. The others: `column`, and `arg` of the column's type
 * (any integer: int8; any float: float8; HAS: the element's type), not NULL.
 */
enum db_cond_op {
    DB_COND_AND,
    DB_COND_OR,
    DB_COND_NOT,
    DB_COND_EQ,
    DB_COND_LT,
    DB_COND_LE,
    DB_COND_GT,
    DB_COND_GE,
    DB_COND_LIKE, /* text: a pattern of LIKE, with backslashes */
    DB_COND_HAS,  /* arrays: has this element */
    DB_COND_SET,  /* no argument: not NULL, not the empty text or array */
};

struct db_cond {
    enum db_cond_op op;
    const struct db_column *column;
    struct db_arg arg;
    const struct db_cond *const *kids;
    size_t n_kids;
};

struct db_list_query {
    struct db_args args;         /* of the statement, without limit and offset */
    const struct db_cond *where; /* NULL: all rows */
    const struct db_order *order;
    size_t n_order; /* 0: the list's keys; those that are missing are put behind */
    /* Rows behind this one: its values in the whole order (db_list_order). NULL: from the start. */
    const struct db_arg *after;
    int64_t limit;
    int64_t offset;
};

/* NULL: the list has no column of that name. */
const struct db_column *db_list_column(const struct db_list *list, struct str name);

/* The whole order of a query into `ret`, at most DB_LIST_MAX_ORDER; returns how many. */
size_t db_list_order(const struct db_list *list, const struct db_order *order, size_t n,
                     struct db_order *ret);

/* The value of a sortable column in a row of the statement, as `after` takes it. */
struct db_arg db_list_value(const struct db_stmt *stmt, const struct db_column *column,
                            const void *row);

/* The rows, at most query->limit, as db_many gives them. Suspends: once.
 * Fails: also BAD_FIELD "filter" when there are more values than a statement can take. */
#define db_list(ctx, stmt, query, ret_rows, ret_n) \
    db_list_at((ctx), (stmt), (query), (void **)(ret_rows), sizeof(**(ret_rows)), (ret_n))
enum status db_list_at(struct ctx *ctx, const struct db_stmt *stmt,
                       const struct db_list_query *query, void **ret_rows, size_t row_size,
                       size_t *ret_n) WARN_UNUSED;

/* For db_check: a statement that uses every column in every way it allows, made in `a`. NULL: `err`
 * says which column does not fit the row map. Thread: any. */
const struct db_stmt *db_list_probe(struct arena *a, const struct db_stmt *stmt, char *err,
                                    size_t err_size);

#endif
