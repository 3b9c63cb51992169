/*
 * What a reactor remembers of API keys, by their hash: two bounded lists, least recently used out
 * first, so that wrong keys never push out good ones.
 *
 * Thread: the reactor's. Suspends: never.
 */
#ifndef LUNA_QUOTA_KEY_CACHE_H
#define LUNA_QUOTA_KEY_CACHE_H

#include "base/clock.h"
#include "base/list.h"
#include "quota/api_key.h"
#include "run/ctx.h"

struct key_entry {
    struct list lru;        /* private */
    struct key_entry *next; /* private: in its bucket */
    uint8_t hash[API_KEY_HASH];
    bool known; /* a key of the database; false: there is none of this hash */
    bool revoked;
    bool refreshing; /* somebody is reading it again */
    enum role role;
    int64_t account_id;
    int64_t key_id;
    char *scopes;      /* spaces between; NULL: all. Owned */
    usec_t expires_at; /* 0: never */
    nsec_t read_at;    /* when the database said so */
    int64_t touched;   /* minute since 1970 in which its use was noted last */
};

struct key_cache;

/* `max_known`, `max_unknown`: entries of each kind, at least 1. */
struct key_cache *key_cache_new(size_t max_known, size_t max_unknown);
void key_cache_free(struct key_cache *c);

/* NULL: nothing is remembered. The entry is valid until the next put or drop. */
struct key_entry *key_cache_find(struct key_cache *c, const uint8_t hash[API_KEY_HASH]);

/* Remembers `facts` (its hash, and all that is not private); `scopes` is copied. An entry of that
 * hash is replaced, and keeps `touched`. */
struct key_entry *key_cache_put(struct key_cache *c, const struct key_entry *facts);

/* Forgets all keys of an account; 0: everything. */
void key_cache_drop_account(struct key_cache *c, int64_t account_id);

/* Makes everything at least as old as if it had been read at `instant`. */
void key_cache_age(struct key_cache *c, nsec_t instant);

size_t key_cache_count(const struct key_cache *c, bool known);

#endif
