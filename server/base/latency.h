/*
 * A histogram of durations: each bucket twice as wide as the one before, the upper bounds 50 us *
 * 2^i (13 s and beyond in the last one). Written by one thread, read by any, each number for
 * itself.
 */
#ifndef LUNA_BASE_LATENCY_H
#define LUNA_BASE_LATENCY_H

#include "base/clock.h"
#include "base/counter.h"

#define LATENCY_FIRST   USEC(50)
#define LATENCY_BUCKETS 20 /* the last bound is +Inf */

struct latency {
    atomic_uint_fast64_t buckets[LATENCY_BUCKETS];
    atomic_uint_fast64_t sum_ns;
};

struct latency_total {
    uint64_t buckets[LATENCY_BUCKETS];
    uint64_t sum_ns;
};

/* Thread: the one that writes. */
static inline void
latency_note(struct latency *l, nsec_t took)
{
    uint64_t ns = took > 0 ? (uint64_t)took : 0;
    uint64_t q = ns > 0 ? (ns - 1) / (uint64_t)LATENCY_FIRST : 0;
    int i = q ? 64 - __builtin_clzll(q) : 0;
    if (i >= LATENCY_BUCKETS)
        i = LATENCY_BUCKETS - 1;
    counter_add(&l->buckets[i], 1);
    counter_add(&l->sum_ns, ns);
}

/* Thread: any. */
static inline void
latency_add(struct latency_total *to, const struct latency *l)
{
    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        to->buckets[i] += atomic_load_explicit(&l->buckets[i], memory_order_relaxed);
    to->sum_ns += atomic_load_explicit(&l->sum_ns, memory_order_relaxed);
}

#endif
