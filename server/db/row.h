/*
 * From the columns of a result to the members of a struct. Private to db/.
 */
#ifndef LUNA_DB_ROW_H
#define LUNA_DB_ROW_H

#include <libpq-fe.h>

#include "db/db.h"

#define ROW_MAX_COLUMNS 128

/* How the result of one statement is read: made once from its Describe. */
struct row_plan {
    size_t n;                   /* columns */
    const struct db_col **cols; /* one each; NULL: the column `ord`, which is not in the map */
    int ord;                    /* place of `ord`, -1: none */
    bool made;
};

/* Columns of the map. */
size_t row_columns(const struct db_col *map);

/* Compares a Describe with the statement's map and fills `plan` on success (its memory is
 * malloc'ed). A plan that was made before must come out the same. False: `err` says which column is
 * wrong. */
bool row_plan_make(const struct db_stmt *stmt, const PGresult *described, struct row_plan *plan,
                   char *err, size_t err_size);
void row_plan_fini(struct row_plan *plan);

/* What is wrong with a map itself (sizes of the members); NULL: nothing. */
const char *row_map_check(const struct db_col *map);

/* Row `i` of `res` into the struct at `out`. NULL, or what is wrong, for the log. */
const char *row_decode(struct arena *a, const struct row_plan *plan, const PGresult *res, int i,
                       void *out);

/* The value of `ord` in row `i`; 0 when it is not a positive number. */
int64_t row_ord(const struct row_plan *plan, const PGresult *res, int i);

#endif
