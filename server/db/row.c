#include "db/row.h"

#include <stdlib.h>

#include "db/value.h"

const struct db_col db_int8_row[] = {DB_COL(struct db_int8_value, value, DB_INT8), DB_END};
const struct db_col db_text_row[] = {DB_COL_NULLABLE(struct db_text_value, value, DB_TEXT), DB_END};
const struct db_col db_bool_row[] = {DB_COL(struct db_bool_value, value, DB_BOOL), DB_END};

#define INT8_OID 20

size_t
row_columns(const struct db_col *map)
{
    size_t n = 0;
    while (map && map[n].name)
        n++;
    return n;
}

const char *
row_map_check(const struct db_col *map)
{
    for (size_t i = 0; map[i].name; i++) {
        if (i == ROW_MAX_COLUMNS)
            return "too many columns";
        if (map[i].type >= DB_TYPE_COUNT || map[i].size != value_types[map[i].type].c_size)
            return "a member's C type does not fit its SQL type";
        if (map[i].row_size != map[0].row_size)
            return "columns of different structs";
    }
    return map[0].name ? NULL : "no columns";
}

static const struct db_col *
find_col(const struct db_col *map, const char *name)
{
    for (; map->name; map++)
        if (strcmp(map->name, name) == 0)
            return map;
    return NULL;
}

/* Column `i` of the result: its place in the map, or an error. */
static bool
match_column(const struct db_stmt *stmt, const PGresult *res, int i, struct row_plan *plan,
             char *err, size_t err_size)
{
    const char *name = PQfname(res, i);
    const struct db_col *col = find_col(stmt->row, name);

    if (!col) {
        if (strcmp(name, "ord") == 0 && PQftype(res, i) == INT8_OID && stmt->kind == DB_KIND_MANY) {
            plan->ord = i;
            return true;
        }
        snprintf(err, err_size, "statement %s: column %s is not in the row map", stmt->name, name);
        return false;
    }
    for (int j = 0; j < i; j++) {
        if (plan->cols[j] == col) {
            snprintf(err, err_size, "statement %s: column %s comes twice", stmt->name, name);
            return false;
        }
    }
    if (!value_accepts(col->type, PQftype(res, i))) {
        snprintf(err, err_size, "statement %s: column %s has type %u, the row map says %s (%u)",
                 stmt->name, name, PQftype(res, i), value_types[col->type].name,
                 value_types[col->type].oid);
        return false;
    }
    plan->cols[i] = col;
    return true;
}

static bool
match_all(const struct db_stmt *stmt, const PGresult *res, struct row_plan *plan, char *err,
          size_t err_size)
{
    for (int i = 0; i < PQnfields(res); i++)
        if (!match_column(stmt, res, i, plan, err, err_size))
            return false;
    for (const struct db_col *col = stmt->row; col->name; col++) {
        bool found = false;
        for (size_t i = 0; i < plan->n; i++)
            found = found || plan->cols[i] == col;
        if (!found) {
            snprintf(err, err_size, "statement %s: column %s is missing", stmt->name, col->name);
            return false;
        }
    }
    return true;
}

static bool
same_plan(const struct row_plan *a, const struct row_plan *b)
{
    return a->n == b->n && a->ord == b->ord &&
           memcmp(a->cols, b->cols, a->n * sizeof(*a->cols)) == 0;
}

bool
row_plan_make(const struct db_stmt *stmt, const PGresult *described, struct row_plan *plan,
              char *err, size_t err_size)
{
    struct row_plan made = {.n = (size_t)PQnfields(described), .ord = -1, .made = true};

    if (!stmt->row) { /* what an :exec returns is not looked at */
        plan->made = true;
        plan->ord = -1;
        return true;
    }
    if (made.n > ROW_MAX_COLUMNS) {
        snprintf(err, err_size, "statement %s: too many columns", stmt->name);
        return false;
    }
    made.cols = calloc(made.n + 1, sizeof(*made.cols));
    ASSERT(made.cols);
    if (!match_all(stmt, described, &made, err, err_size)) {
        row_plan_fini(&made);
        return false;
    }
    if (plan->made) {
        bool same = same_plan(plan, &made);
        row_plan_fini(&made);
        if (!same)
            snprintf(err, err_size, "statement %s: its columns have changed their order",
                     stmt->name);
        return same;
    }
    *plan = made;
    return true;
}

void
row_plan_fini(struct row_plan *plan)
{
    free(plan->cols);
    plan->cols = NULL;
    plan->made = false;
}

const char *
row_decode(struct arena *a, const struct row_plan *plan, const PGresult *res, int i, void *out)
{
    if ((size_t)PQnfields(res) != plan->n)
        return "the number of columns has changed";
    for (int c = 0; c < (int)plan->n; c++) {
        const struct db_col *col = plan->cols[c];
        bool is_null = PQgetisnull(res, i, c);
        if (!col)
            continue;
        if (col->has_offset != DB_NO_FLAG)
            *(bool *)((char *)out + col->has_offset) = !is_null;
        if (is_null && !col->nullable)
            return arena_printf(a, "column %s is NULL", col->name);
        if (is_null)
            memset((char *)out + col->offset, 0, col->size);
        else if (!value_decode(a, col->type, PQgetvalue(res, i, c), (size_t)PQgetlength(res, i, c),
                               (char *)out + col->offset))
            return arena_printf(a, "column %s is not a binary %s", col->name,
                                value_types[col->type].name);
    }
    return NULL;
}

int64_t
row_ord(const struct row_plan *plan, const PGresult *res, int i)
{
    int64_t ord = 0;

    if (plan->ord < 0 || PQgetisnull(res, i, plan->ord))
        return 0;
    if (!value_decode(NULL, DB_INT8, PQgetvalue(res, i, plan->ord),
                      (size_t)PQgetlength(res, i, plan->ord), &ord))
        return 0;
    return ord > 0 ? ord : 0;
}
