/* Private to cache*.c. */
#ifndef LUNA_GATEWAY_CACHE_PRIVATE_H
#define LUNA_GATEWAY_CACHE_PRIVATE_H

#include <stdatomic.h>

#include "gateway/cache.h"
#include "gateway/gateway.h"
#include "run/inbox.h"

#define CACHE_PREFIX "luna:answer:"
#define CACHE_HASH   32
#define CACHE_KEY    (sizeof(CACHE_PREFIX) + 2 * CACHE_HASH)

/* What became of a request for an answer that may be kept. */
enum cache_event {
    CACHE_HIT,
    CACHE_MISS,
    CACHE_STALE,    /* found, and older than the caller takes */
    CACHE_BYPASS,   /* the caller wants none of it */
    CACHE_ERROR,    /* Redis is away, slow, or its entry is none of ours */
    CACHE_STORED,   /* on its way to Redis */
    CACHE_TOO_LONG, /* beyond cache-entry: not stored */
    CACHE_EVENTS
};

struct cache {
    struct reactor *reactor;
    struct redis *redis;
    uint8_t secret[CACHE_HASH];
    uint8_t schema[CACHE_HASH];
    atomic_uint_fast64_t events[CACHE_EVENTS];
};

/* What one exchange asks of the cache; in its arena. */
struct cached {
    struct inbox_msg msg; /* to the cache's reactor */
    struct exchange *x;
    char key[CACHE_KEY];
    bool may_store;
    bool only_if_cached;
    int64_t oldest_s; /* that the caller takes; -1: as old as the method says */
    bool failed;      /* Redis did not answer */
    struct str entry; /* p == NULL: there is none */
    const char *said; /* Cache-Status */
};

/* ---- cache_policy.c ---- */
/* The seconds that the method's answer may be kept; 0: not at all. */
int64_t cache_seconds(const struct exchange *x);
/* The answer is the same for everybody. */
bool cache_is_public(const struct exchange *x);
/* What the caller's Cache-Control says; false: he wants nothing of the cache. */
bool cache_read_wishes(const struct exchange *x, struct cached *c, bool *ret_may_read);
/* The name of the entry for this caller and this request. */
void cache_make_key(const struct cache *cache, const struct exchange *x, char key[CACHE_KEY]);
/* True when `list`, an If-None-Match, names the tag, weak or not, or all. */
bool cache_etag_matches(struct str list, struct str etag);

/* ---- cache_redis.c ---- */
void cache_count(struct cache *c, enum cache_event e);
bool cache_is_ready(const struct cache *c);
/* Asks Redis for c->entry; the exchange comes back as EXCHANGE_LOOKED. */
void cache_fetch(struct cache *cache, struct cached *c);
/* Posts the entry and forgets it. */
void cache_store(struct cache *cache, const char *key, nsec_t ttl, const struct buf *entry);

#endif
