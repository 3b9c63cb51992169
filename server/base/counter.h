/*
 * Counters with one writer and any number of readers: no locked instruction is needed.
 */
#ifndef LUNA_BASE_COUNTER_H
#define LUNA_BASE_COUNTER_H

#include <stdatomic.h>

/* `counter` points at an atomic integer, and is evaluated twice. Thread: the one that writes. */
#define counter_add(counter, n)                                                                   \
    atomic_store_explicit((counter), atomic_load_explicit((counter), memory_order_relaxed) + (n), \
                          memory_order_relaxed)

#endif
