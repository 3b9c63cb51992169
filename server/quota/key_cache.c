#include "quota/key_cache.h"

#include <stdlib.h>

struct kind {
    struct list lru; /* most recently used first */
    size_t count;
    size_t max;
};

struct key_cache {
    struct key_entry **buckets;
    size_t mask;
    struct kind kinds[2]; /* by `known` */
};

struct key_cache *
key_cache_new(size_t max_known, size_t max_unknown)
{
    struct key_cache *c = calloc(1, sizeof(*c));
    ASSERT(c);
    size_t n = 64;
    while (n < max_known + max_unknown && n < (1U << 20))
        n *= 2;
    c->mask = n - 1;
    c->buckets = calloc(n, sizeof(*c->buckets));
    ASSERT(c->buckets);
    c->kinds[false].max = max_unknown;
    c->kinds[true].max = max_known;
    list_init(&c->kinds[false].lru);
    list_init(&c->kinds[true].lru);
    return c;
}

/* The hash is keyed: callers cannot choose where it falls. */
static struct key_entry **
bucket_of(struct key_cache *c, const uint8_t *hash)
{
    uint64_t h;
    memcpy(&h, hash, sizeof(h));
    return &c->buckets[h & c->mask];
}

static void
entry_remove(struct key_cache *c, struct key_entry *e)
{
    struct key_entry **p = bucket_of(c, e->hash);
    while (*p != e)
        p = &(*p)->next;
    *p = e->next;
    list_remove(&e->lru);
    c->kinds[e->known].count--;
    free(e->scopes);
    free(e);
}

void
key_cache_free(struct key_cache *c)
{
    if (!c)
        return;
    key_cache_drop_account(c, 0);
    free(c->buckets);
    free(c);
}

static struct key_entry *
lookup(struct key_cache *c, const uint8_t *hash)
{
    for (struct key_entry *e = *bucket_of(c, hash); e; e = e->next)
        if (str_equal_constant_time(e->hash, hash, API_KEY_HASH))
            return e;
    return NULL;
}

struct key_entry *
key_cache_find(struct key_cache *c, const uint8_t hash[API_KEY_HASH])
{
    struct key_entry *e = lookup(c, hash);
    if (e && c->kinds[e->known].lru.next != &e->lru) {
        list_remove(&e->lru);
        list_push_front(&c->kinds[e->known].lru, &e->lru);
    }
    return e;
}

struct key_entry *
key_cache_put(struct key_cache *c, const struct key_entry *facts)
{
    int64_t touched = 0;
    struct key_entry *old = lookup(c, facts->hash);
    if (old) {
        touched = old->touched;
        entry_remove(c, old);
    }
    struct kind *kind = &c->kinds[facts->known];
    if (kind->count >= kind->max)
        entry_remove(c, container_of(kind->lru.prev, struct key_entry, lru));
    struct key_entry *e = malloc(sizeof(*e));
    ASSERT(e);
    *e = *facts;
    e->touched = touched;
    e->refreshing = false;
    if (facts->scopes) {
        e->scopes = strdup(facts->scopes);
        ASSERT(e->scopes);
    }
    struct key_entry **bucket = bucket_of(c, e->hash);
    e->next = *bucket;
    *bucket = e;
    list_push_front(&kind->lru, &e->lru);
    kind->count++;
    return e;
}

void
key_cache_drop_account(struct key_cache *c, int64_t account_id)
{
    for (int known = 0; known < 2; known++) {
        list_foreach_safe (it, tmp, &c->kinds[known].lru) {
            struct key_entry *e = container_of(it, struct key_entry, lru);
            if (account_id == 0 || e->account_id == account_id)
                entry_remove(c, e);
        }
    }
}

void
key_cache_age(struct key_cache *c, nsec_t instant)
{
    for (int known = 0; known < 2; known++) {
        list_foreach (it, &c->kinds[known].lru) {
            struct key_entry *e = container_of(it, struct key_entry, lru);
            if (e->read_at > instant)
                e->read_at = instant;
        }
    }
}

size_t
key_cache_count(const struct key_cache *c, bool known)
{
    return c->kinds[known].count;
}
