/*
 * A List method, from the fields of its request to a page of rows. The statement declares what can
 * be filtered and sorted (db/list.h); this adds the three ways of paging:
 *
 *   page_size, page_token   keyset: goes on behind the last row, whatever came or went meanwhile.
 *                           A token is bound to the statement, its arguments, filter and order.
 *   page, per_page          page 1 is the first
 *   limit, offset
 *
 * Each of them answers with a next_page_token when the list was cut. In a service:
 *
 *     struct list_request list = LIST_REQUEST(req, 100, 1000);        in <svc>_rpc.c
 *     list_rows(ctx, &sql_quota_list_keys, DB_ARGS(db_int8(account_id)), list, &rows, &n, &next)
 *                                                                     in <svc>_store.c
 */
#ifndef LUNA_EDGE_LIST_H
#define LUNA_EDGE_LIST_H

#include "db/list.h"
#include "run/ctx.h"

#define LIST_MAX_OFFSET 1000000

struct list_request {
    const char *filter; /* NULL: none; so are the other texts */
    const char *order_by;
    const char *page_token;
    int32_t page_size;
    int32_t page; /* from 1; 0: not given */
    int32_t per_page;
    int32_t limit;
    int32_t offset;
    int32_t normal; /* rows of a page when the caller does not say */
    int32_t most;   /* more than that is that */
};

/* Of a protobuf-c request with the fields filter, order_by, page_size, page_token, page, per_page,
 * limit and offset. */
#define LIST_REQUEST(req, normal_rows, most_rows)                                              \
    {                                                                                          \
        .filter = (req)->filter, .order_by = (req)->order_by, .page_token = (req)->page_token, \
        .page_size = (req)->page_size, .page = (req)->page, .per_page = (req)->per_page,       \
        .limit = (req)->limit, .offset = (req)->offset, .normal = (normal_rows),               \
        .most = (most_rows),                                                                   \
    }

/* Rows of the list `stmt`, whose arguments but limit and offset are `args`. *ret_next is "" when
 * there are no more. Suspends: once. Fails: BAD_FIELD (filter, order_by, page_token, page_size,
 * page, per_page, limit, offset), DB_... */
#define list_rows(ctx, stmt, args, request, ret_rows, ret_n, ret_next)                        \
    list_rows_at((ctx), (stmt), (args), (request), (void **)(ret_rows), sizeof(**(ret_rows)), \
                 (ret_n), (ret_next))
enum status list_rows_at(struct ctx *ctx, const struct db_stmt *stmt, struct db_args args,
                         const struct list_request *request, void **ret_rows, size_t row_size,
                         size_t *ret_n, const char **ret_next) WARN_UNUSED;

#endif
