#include "edge/address.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/uuid.h"

/* ---- networks ------------------------------------------------------------------------------- */

static bool
parse_address(struct str s, uint8_t out[16], bool *ret_v4)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char text[INET6_ADDRSTRLEN];
    if (s.n == 0 || s.n >= sizeof(text))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (inet_pton(AF_INET, text, out + 12) == 1) {
        memcpy(out, mapped, sizeof(mapped));
        *ret_v4 = true;
        return true;
    }
    *ret_v4 = false;
    return inet_pton(AF_INET6, text, out) == 1;
}

static bool
parse_net(struct str s, struct address_net *ret)
{
    *ret = (struct address_net){.bits = 128};
    if (str_eq(s, STR("unix"))) {
        ret->is_unix = true;
        return true;
    }
    struct str bits = s;
    struct str address = str_cut(&bits, '/');
    bool v4;
    if (!parse_address(address, ret->bytes, &v4))
        return false;
    if (!bits.p)
        return true;
    int64_t n;
    if (!str_to_i64(bits, &n) || n < 0 || n > (v4 ? 32 : 128))
        return false;
    ret->bits = (unsigned)n + (v4 ? 96 : 0);
    return true;
}

bool
address_nets_parse(struct str text, struct address_nets *ret, struct str *ret_bad)
{
    struct address_nets nets = {.count = 0};
    while (text.n > 0) {
        size_t n = 0;
        while (n < text.n && text.p[n] != ',' && text.p[n] != ' ')
            n++;
        struct str part = {text.p, n};
        text.p += n < text.n ? n + 1 : n;
        text.n -= n < text.n ? n + 1 : n;
        if (part.n == 0)
            continue;
        if (nets.count == ADDRESS_MAX_NETS || !parse_net(part, &nets.nets[nets.count])) {
            *ret_bad = part;
            return false;
        }
        nets.count++;
    }
    *ret = nets;
    return true;
}

static bool
net_contains(const struct address_net *net, const uint8_t a[16])
{
    size_t whole = net->bits / 8;
    if (net->is_unix || memcmp(net->bytes, a, whole) != 0)
        return false;
    unsigned rest = net->bits % 8;
    return rest == 0 || ((net->bytes[whole] ^ a[whole]) >> (8 - rest)) == 0;
}

bool
address_nets_contain(const struct address_nets *nets, struct str address)
{
    uint8_t a[16];
    bool v4;
    bool is_unix = str_eq(address, STR("unix"));
    if (!is_unix && !parse_address(address, a, &v4))
        return false;
    for (size_t i = 0; i < nets->count; i++) {
        const struct address_net *net = &nets->nets[i];
        if (is_unix ? net->is_unix : net_contains(net, a))
            return true;
    }
    return false;
}

struct str
address_of_client(const struct address_nets *trusted, struct str peer, struct str forwarded_for)
{
    struct str address = peer;
    while (forwarded_for.n > 0 && address_nets_contain(trusted, address)) {
        const char *comma = memrchr(forwarded_for.p, ',', forwarded_for.n);
        const char *start = comma ? comma + 1 : forwarded_for.p;
        struct str last = {start, (size_t)(forwarded_for.p + forwarded_for.n - start)};
        last = str_trim(last);
        uint8_t bytes[16];
        bool v4;
        if (!parse_address(last, bytes, &v4))
            break;
        address = last;
        forwarded_for.n = comma ? (size_t)(comma - forwarded_for.p) : 0;
    }
    return address;
}

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
    if (parse_address(address, bytes, &v4)) {
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
