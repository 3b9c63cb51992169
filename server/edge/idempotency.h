/*
 * Idempotency keys (CONTRACT, "Changes"): a change that comes with a key is made once. The key is
 * the metadata idempotency-key, or the request's string field request_id; it belongs to the
 * account.
 *
 *   the same key, the same request      the first answer again, with the header
 * idempotency-replayed the same key, another request       BAD_FIELD the first call has not ended
 * IDEMPOTENCY_KEY_IN_USE the call failed                     the key is free again: nothing is kept
 * of it
 *
 * A method says with (luna.v1.method).idempotency_keys how it keeps the promise. TRANSACTION: the
 * handler runs in one transaction with the key and the answer, so that a server that dies at any
 * point has made the change with its answer, or nothing. CLAIM, the default: the key is claimed
 * before the handler runs; a server that dies leaves the claim, which then blocks the key until it
 * expires: never twice.
 *
 * The interceptor stands before the gate: an answer that is given again costs nothing.
 *
 * Thread: the reactor's own.
 */
#ifndef LUNA_EDGE_IDEMPOTENCY_H
#define LUNA_EDGE_IDEMPOTENCY_H

#include "db/db.h"
#include "rpc/rpc.h"

struct config;

#define IDEMPOTENCY_MAX_KEY 128 /* visible ASCII characters */

extern const struct db_sql idempotency_sql;
extern const struct interceptor idempotency_interceptor;

/* Once, before calls arrive: idempotency_keep and key_secret, which must outlive them. */
void idempotency_init(const struct config *cfg);

#endif
