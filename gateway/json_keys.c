/* The keys of one JSON object, to find the second of two. */
#include "gateway/json_read.h"

static size_t
hash_key(struct str s)
{
    size_t h = 14695981039346656037u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 1099511628211u;
    return h ^ h >> 32;
}

static bool
insert(struct json_keys *k, struct str key)
{
    for (size_t at = hash_key(key);; at++) {
        struct str *slot = &k->slots[at & k->mask];
        if (!slot->p) {
            *slot = key;
            k->n++;
            return true;
        }
        if (str_eq(*slot, key))
            return false;
    }
}

bool
json_keys_add(struct json_keys *k, struct arena *a, struct str key)
{
    if (k->n * 2 >= k->mask) {
        struct json_keys larger = {.mask = k->mask ? k->mask * 2 + 1 : 15};
        larger.slots = arena_new_n(a, struct str, larger.mask + 1);
        for (size_t i = 0; k->slots && i <= k->mask; i++)
            if (k->slots[i].p)
                insert(&larger, k->slots[i]);
        *k = larger;
    }
    return insert(k, key);
}
