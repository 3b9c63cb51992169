/*
 * The response cache: answers of unary methods that say for how long they may be kept
 * (luna.v1.MethodPolicy.cache_seconds), in Redis, for all gateways that share it and its secret.
 *
 * Who sees what. The name of an entry is a keyed hash of the method, the request's message, and,
 * unless the method's scope is public, the caller's credentials as they came. An entry comes to be
 * only when the server has accepted just these credentials: nothing is believed that it has not
 * proven, and neither another account nor another key of the same account ever finds it. What is
 * kept for a caller is kept for `cache-private` at most (5 s, the time for which the server itself
 * remembers a key), so that a revoked key sees nothing for longer than that.
 *
 * Redis away, slow or full of rubbish: the server is asked, as if there were no cache.
 *
 * Threads: one of its own, a reactor, speaks with Redis; an exchange that waits for it is
 * suspended.
 */
#ifndef LUNA_GATEWAY_CACHE_H
#define LUNA_GATEWAY_CACHE_H

#include "base/buf.h"
#include "base/str.h"

struct cache;
struct config;
struct exchange;

/* `schema` are the bytes of the descriptors: another API has other entries. NULL: `err` says why.
 */
struct cache *cache_new(const struct config *cfg, struct str schema, char *err, size_t err_size);

/* After the last exchange. NULL is none. */
void cache_free(struct cache *c);

/* Before the call: looks for the answer. True: the connection is suspended and comes back as
 * EXCHANGE_LOOKED. False: the server is to be asked, or the exchange is refused (only-if-cached).
 */
bool cache_look(struct exchange *x);

/* In EXCHANGE_LOOKED: makes the answer of what was found. False: as above. */
bool cache_answer(struct exchange *x);

/* Once the server's answer is made: its ETag, Cache-Control and Vary; keeps it; and 304 to those
 * who have it. */
void cache_finish(struct exchange *x);

/* What happened, in Prometheus' format. */
void cache_metrics(const struct cache *c, struct buf *out);

#endif
