/*
 * Filters and orders as hostile callers write them. What is accepted keeps to its limits: depth,
 * comparisons, and values of the column's type.
 */
#include "edge/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BOTH (DB_COLUMN_FILTERS | DB_COLUMN_SORTS)

static const struct db_column_value states[] = {{"STATE_ON", "on"}, {"STATE_OFF", "off"}};
static const struct db_column columns[] = {
    {.name = "id", .sql = "id", .result = "id", .type = DB_INT8, .flags = BOTH},
    {.name = "x", .sql = "x", .result = "x", .type = DB_FLOAT8, .flags = BOTH},
    {.name = "a.b", .sql = "a", .result = "a", .type = DB_TEXT, .flags = BOTH | DB_COLUMN_NULL},
    {.name = "at", .sql = "at", .result = "at", .type = DB_TIMESTAMPTZ, .flags = BOTH},
    {.name = "day", .sql = "day", .result = "day", .type = DB_DATE, .flags = BOTH},
    {.name = "u", .sql = "u", .result = "u", .type = DB_UUID, .flags = BOTH},
    {.name = "f", .sql = "f", .result = "f", .type = DB_BOOL, .flags = BOTH},
    {.name = "t", .sql = "t", .result = "t", .type = DB_TEXT_ARRAY, .flags = DB_COLUMN_FILTERS},
    {.name = "k", .sql = "k", .result = "k", .type = DB_INT8_ARRAY, .flags = DB_COLUMN_FILTERS},
    {.name = "ms", .sql = "ms", .result = "ms", .type = DB_INT8, .flags = BOTH, .unit_us = 1000},
    {.name = "s",
     .sql = "s",
     .result = "s",
     .type = DB_TEXT,
     .flags = DB_COLUMN_FILTERS,
     .values = states,
     .n_values = 2},
};
static const struct db_order keys[] = {{&columns[0], false}};
static const struct db_list list = {"", "", "", columns, ARRAY_LEN(columns), keys, 1};

/* An AND, an OR and a NOT may hold each other once for each level of the text. */
static size_t
check(const struct db_cond *c, size_t depth)
{
    size_t leaves = 0;
    ASSERT(depth <= 3 * FILTER_MAX_DEPTH);
    if (c->op > DB_COND_NOT) {
        ASSERT(c->column >= columns && c->column < columns + ARRAY_LEN(columns));
        ASSERT(c->op == DB_COND_SET || !c->arg.is_null);
        return 1;
    }
    ASSERT(c->n_kids >= 1 && (c->op != DB_COND_NOT || c->n_kids == 1));
    for (size_t i = 0; i < c->n_kids; i++)
        leaves += check(c->kids[i], depth + 1);
    return leaves;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct ctx ctx;
    const struct db_cond *where = NULL;
    const struct db_order *orders;
    size_t n;
    arena_init(&a, 0);
    ctx_init(&ctx, &a, NULL);
    const char *text = arena_strndup(&a, (const char *)data, size);
    if (filter_parse(&ctx, &list, text, &where) != OK)
        ASSERT(ctx.error.reason == REASON_BAD_FIELD && ctx.error.fields);
    else if (where)
        ASSERT(check(where, 0) <= FILTER_MAX_COMPARISONS);
    fail_clear(&ctx);
    if (order_by_parse(&ctx, &list, text, &orders, &n) == OK)
        ASSERT(n <= ORDER_MAX_COLUMNS);
    else
        ASSERT(ctx.error.reason == REASON_BAD_FIELD && ctx.error.fields);
    ctx_fini(&ctx);
    arena_fini(&a);
    return 0;
}
