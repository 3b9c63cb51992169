/*
 * The `filter` and `order_by` of lists, compiled to conditions and orders over the columns of a
 * statement (db/list.h): values become bound parameters, names become columns of a closed table.
 *
 * Filters are those of https://google.aip.dev/160:
 *
 *   status = active AND (age >= 21 OR NOT role:admin)      AND, OR, NOT; -x is NOT x
 *   name = "Ann*"  name != 'b*'      * stands for any text; \* for itself; \" \' \\ in quotes
 *   prefix:abc                       a text holds another; a list has an element; else =
 *   expires_at:*                     is set: neither absent nor empty
 *   created_at > 2018-02-25T10:00:00+01:00, '2018-02-25', 1519516800 (Unix seconds)
 *   grace < 1.5s                     durations, for columns with a unit
 *
 * OR binds closer than AND, as the AIP has it: a AND b OR c is a AND (b OR c). Terms side by side
 * are joined by AND. Keywords may be in lower case. What is absent is equal to nothing and less
 * than nothing, so != is true of it. Functions, bare words and comparisons of two columns are
 * refused.
 *
 * Orders are those of AIP-132: `name`, `created_at desc, name`.
 *
 * Thread: any. Suspends: never. Everything is made in ctx->arena.
 */
#ifndef LUNA_EDGE_FILTER_H
#define LUNA_EDGE_FILTER_H

#include "db/list.h"
#include "run/ctx.h"

#define FILTER_MAX_BYTES       4096
#define FILTER_MAX_COMPARISONS 32
#define FILTER_MAX_DEPTH       16 /* of parentheses and NOTs */
#define ORDER_MAX_BYTES        512
#define ORDER_MAX_COLUMNS      5

/* *ret NULL: the filter is empty or NULL and takes every row.
 * Fails: BAD_FIELD "filter", with the position of the mistake (bytes from 1). */
enum status filter_parse(struct ctx *ctx, const struct db_list *list, const char *text,
                         const struct db_cond **ret) WARN_UNUSED;

/* *ret_n 0: empty, the list's own order. Fails: BAD_FIELD "order_by", with the position. */
enum status order_by_parse(struct ctx *ctx, const struct db_list *list, const char *text,
                           const struct db_order **ret, size_t *ret_n) WARN_UNUSED;

#endif
