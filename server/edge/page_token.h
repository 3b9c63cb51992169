/*
 * Page tokens: where a list goes on, signed and bound to the question, so that a token is opaque,
 * cannot be made up and cannot be used with another filter, order or parent.
 *
 *   base64url( version 1 | cursor | first 16 bytes of HMAC-SHA256(secret, version, binding, cursor)
 * )
 *
 * The cursor is the sort key of the last row that was returned (keyset paging): rows that come or
 * go meanwhile are neither skipped nor repeated.
 *
 * Thread: any, after page_token_init. Suspends: never.
 */
#ifndef LUNA_EDGE_PAGE_TOKEN_H
#define LUNA_EDGE_PAGE_TOKEN_H

#include "base/arena.h"
#include "base/str.h"
#include "run/ctx.h"

#define PAGE_TOKEN_MAX_CURSOR 4096

/* Once at start. All servers of one database share the secret. Borrowed. */
void page_token_init(struct str secret);

/* `binding` says what the token is for: method, parent, filter, order. */
const char *page_token_make(struct arena *a, struct str binding, struct str cursor);

/* False: not a token of ours for this binding. *ret_cursor lives in `a`. */
bool page_token_read(struct arena *a, struct str token, struct str binding, struct str *ret_cursor);

/* The common case, a list in the order of a positive id. An empty token is 0, the start.
 * Fails: BAD_FIELD "page_token". */
enum status page_token_read_id(struct ctx *ctx, const char *token, struct str binding,
                               int64_t *ret_after) WARN_UNUSED;
const char *page_token_make_id(struct arena *a, struct str binding, int64_t last);

/* The rows to read for a request's page_size: 0 is `normal`. Fails: BAD_FIELD "page_size" below 0;
 * more than `most` is `most`. */
enum status page_size_read(struct ctx *ctx, int32_t page_size, int32_t normal, int32_t most,
                           int32_t *ret) WARN_UNUSED;

#endif
