/* What the verbs share: one request of a fiber, from its making to its failure. Private to db/. */
#ifndef LUNA_DB_VERB_H
#define LUNA_DB_VERB_H

#include "db/pool.h"

/* INTERNAL_ERROR unless the statement is of this kind and takes these arguments. */
enum status verb_check(struct ctx *ctx, const struct db_stmt *stmt, enum db_kind kind,
                       struct db_args args, size_t row_size) WARN_UNUSED;

/* The pool of ctx's reactor into *ret, or SHUTTING_DOWN. */
enum status verb_pool(struct ctx *ctx, struct pool **ret) WARN_UNUSED;

/* Records that `q` has ended otherwise than with FATE_OK. */
enum status verb_fail(struct ctx *ctx, const struct request *q);

/* Waits for a submitted request: OK when it was answered well. On failure it has been recorded, and
 * the request is gone. Suspends: once. */
enum status verb_wait(struct ctx *ctx, struct request *q) WARN_UNUSED;

/* Submits and waits for `n` items, within the ctx's transaction when there is one. On OK the caller
 * decodes (*ret)->results and frees it. Suspends: once. */
enum status verb_run(struct ctx *ctx, const struct db_item *items, size_t n,
                     struct request **ret) WARN_UNUSED;

/* Reads the result of one item into where it wants it. */
enum status verb_decode(struct ctx *ctx, struct pool *p, const struct db_item *item,
                        const PGresult *res) WARN_UNUSED;

#endif
