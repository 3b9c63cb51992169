#include <stdlib.h>

#include "edge/gate_state.h"

/* Flushes come in the order of their numbers, and one is begun only when the one before has
 * arrived: what is older than the last two of an epoch is known to Postgres. */
#define FLUSHES_KEPT 2
/* After so long Postgres has decided about a lost epoch without us. */
#define LEDGER_AGE SEC(900)

static struct gate_account **
bucket_of(struct quota_gate *g, int64_t account_id)
{
    uint64_t h = (uint64_t)account_id * UINT64_C(0x9E3779B97F4A7C15);
    return &g->buckets[(h >> 32) % GATE_BUCKETS];
}

struct gate_account *
gate_account_find(struct quota_gate *g, int64_t account_id)
{
    for (struct gate_account *a = *bucket_of(g, account_id); a; a = a->next)
        if (a->account_id == account_id)
            return a;
    return NULL;
}

struct gate_account *
gate_account_get(struct quota_gate *g, int64_t account_id)
{
    struct gate_account *a = gate_account_find(g, account_id);
    if (!a) {
        struct gate_account **bucket = bucket_of(g, account_id);
        a = calloc(1, sizeof(*a));
        ASSERT(a);
        a->account_id = account_id;
        list_init(&a->dirty);
        list_init(&a->open);
        list_init(&a->waiting);
        list_init(&a->leases);
        cond_init(&a->idle);
        a->next = *bucket;
        *bucket = a;
    }
    a->users++;
    a->used_at = reactor_now(g->reactor);
    return a;
}

void
gate_account_put(struct gate_account *a)
{
    a->users--;
}

void
gate_accounts_sweep(struct quota_gate *g, nsec_t idle)
{
    nsec_t before = idle ? clock_now() - idle : NSEC_NEVER;
    for (size_t i = 0; i < GATE_BUCKETS; i++) {
        struct gate_account **p = &g->buckets[i];
        while (*p) {
            struct gate_account *a = *p;
            bool in_use = idle && (a->users > 0 || !list_empty(&a->dirty));
            if (in_use || a->used_at >= before) {
                p = &a->next;
                continue;
            }
            *p = a->next;
            list_remove(&a->dirty);
            free(a->ledger);
            free(a);
        }
    }
}

void
gate_account_dirty(struct quota_gate *g, struct gate_account *a)
{
    if (list_empty(&a->dirty))
        list_push(&g->dirty, &a->dirty);
}

/* ---- the ledger ----------------------------------------------------------------------------- */

static void
forget_arrived(struct gate_account *a, const struct gate_decision *d, nsec_t now)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->ledger_count; i++) {
        const struct gate_entry *e = &a->ledger[i];
        bool arrived = e->epoch == d->epoch && e->flush <= d->flush - FLUSHES_KEPT;
        if (!arrived && now - e->at < LEDGER_AGE)
            a->ledger[kept++] = *e;
    }
    a->ledger_count = kept;
}

void
gate_ledger_add(struct gate_account *a, const struct gate_decision *d, const char *method,
                int64_t units)
{
    for (size_t i = a->ledger_count; i-- > 0;) {
        struct gate_entry *e = &a->ledger[i];
        if (e->epoch == d->epoch && e->flush == d->flush && e->day == d->day &&
            strcmp(e->method, method) == 0) {
            e->units += units;
            return;
        }
    }
    nsec_t now = clock_now();
    forget_arrived(a, d, now);
    if (a->ledger_count == a->ledger_capacity) {
        a->ledger_capacity = a->ledger_capacity ? 2 * a->ledger_capacity : 4;
        a->ledger = realloc(a->ledger, a->ledger_capacity * sizeof(*a->ledger));
        ASSERT(a->ledger);
    }
    a->ledger[a->ledger_count++] =
        (struct gate_entry){d->epoch, d->flush, d->day, method, units, now};
}

void
gate_ledger_collect(const struct gate_account *a, int64_t epoch, struct arena *arena,
                    struct gate_report *ret)
{
    int64_t *flushes = arena_new_n(arena, int64_t, a->ledger_count + 1);
    int64_t *units = arena_new_n(arena, int64_t, a->ledger_count + 1);
    const char **fields = arena_new_n(arena, const char *, a->ledger_count + 1);
    size_t n = 0;
    for (size_t i = 0; i < a->ledger_count; i++) {
        const struct gate_entry *e = &a->ledger[i];
        if (e->epoch != epoch)
            continue;
        flushes[n] = e->flush;
        units[n] = e->units;
        fields[n++] = arena_printf(arena, "%lld|%s", (long long)e->day, e->method);
    }
    *ret = (struct gate_report){a->account_id, epoch, n, flushes, fields, units};
}

void
gate_ledger_drop(struct gate_account *a, int64_t epoch)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->ledger_count; i++)
        if (a->ledger[i].epoch != epoch)
            a->ledger[kept++] = a->ledger[i];
    a->ledger_count = kept;
}
