/* Private to edge/filter*.c: one comparison, from its words to a condition. Suspends: never. */
#ifndef LUNA_EDGE_FILTER_VALUE_H
#define LUNA_EDGE_FILTER_VALUE_H

#include "edge/filter.h"

enum filter_op { FILTER_EQ, FILTER_NE, FILTER_LT, FILTER_LE, FILTER_GT, FILTER_GE, FILTER_HAS };

/* What stands behind an operator. */
struct filter_value {
    size_t position;     /* from 1 */
    const char *text;    /* without quotes and escapes */
    const char *pattern; /* the same for LIKE, `*` as any text */
    bool has_star;       /* an unescaped `*` */
    bool quoted;
};

/* Fails: BAD_FIELD "filter". */
enum status filter_compare(struct ctx *ctx, const struct db_column *column, enum filter_op op,
                           const struct filter_value *value,
                           const struct db_cond **ret) WARN_UNUSED;

/* "at 17: <text>" about the field `filter`. */
enum status filter_fail(struct ctx *ctx, size_t position, const char *fmt, ...) PRINTF(3, 4);

/* `cond`, or its opposite. */
const struct db_cond *filter_not(struct arena *a, const struct db_cond *cond);

#endif
