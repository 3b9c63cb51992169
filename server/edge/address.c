#include "edge/address.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/uuid.h"

/* ---- limit by address ----------------------------------------------------------------------- */

#define SETS 1024U
#define WAYS 4U

/* Two threads that count the same address at once may count one failure less, or give an address
 * the other's entry: the limit is a brake, not an account. */
struct entry {
    atomic_uint_fast64_t tag;
    atomic_int_fast64_t tat; /* theoretical arrival time: each failure moves it by `step` */
};

struct address_limit {
    uint64_t seed[2];
    nsec_t step;
    struct entry sets[SETS][WAYS];
};

struct address_limit *
address_limit_new(unsigned per_minute)
{
    struct address_limit *l = calloc(1, sizeof(*l));
    ASSERT(l && per_minute > 0);
    random_bytes(l->seed, sizeof(l->seed));
    l->step = SEC(60) / (nsec_t)per_minute;
    return l;
}

void
address_limit_free(struct address_limit *l)
{
    free(l);
}

static uint64_t
mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9U;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

static uint64_t
tag_of(const struct address_limit *l, struct str address)
{
    uint8_t bytes[16] = {0};
    bool v4;
    uint64_t words[2];
    if (address_parse(address, bytes, &v4)) {
        memcpy(words, bytes, sizeof(words));
        if (!v4)
            words[1] = 0;
    } else {
        words[0] = 1;
        words[1] = 1; /* unix, and whatever else is no address */
    }
    uint64_t tag = mix(mix(words[0] ^ l->seed[0]) + words[1] + l->seed[1]);
    return tag ? tag : 1;
}

static struct entry *
find(struct address_limit *l, uint64_t tag, bool take)
{
    struct entry *set = l->sets[tag % SETS];
    struct entry *oldest = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (atomic_load_explicit(&set[i].tag, memory_order_relaxed) == tag)
            return &set[i];
        if (atomic_load_explicit(&set[i].tat, memory_order_relaxed) <
            atomic_load_explicit(&oldest->tat, memory_order_relaxed))
            oldest = &set[i];
    }
    if (!take)
        return NULL;
    atomic_store_explicit(&oldest->tat, 0, memory_order_relaxed);
    atomic_store_explicit(&oldest->tag, tag, memory_order_relaxed);
    return oldest;
}

bool
address_limit_allows(struct address_limit *l, struct str address, nsec_t now,
                     nsec_t *ret_retry_after)
{
    struct entry *e = find(l, tag_of(l, address), false);
    if (!e)
        return true;
    nsec_t tat = atomic_load_explicit(&e->tat, memory_order_relaxed);
    nsec_t wait = tat - (now + SEC(60) - l->step);
    if (wait <= 0)
        return true;
    *ret_retry_after = wait;
    return false;
}

void
address_limit_count(struct address_limit *l, struct str address, nsec_t now)
{
    struct entry *e = find(l, tag_of(l, address), true);
    nsec_t tat = atomic_load_explicit(&e->tat, memory_order_relaxed);
    if (tat < now)
        tat = now;
    tat += l->step;
    if (tat > now + SEC(60))
        tat = now + SEC(60);
    atomic_store_explicit(&e->tat, tat, memory_order_relaxed);
}
