#include "db/pool.h"

static uint64_t
read_counter(const struct pool *p, int i)
{
    return atomic_load_explicit(&p->counters[i], memory_order_relaxed);
}

void
db_stats_read(const struct reactor *r, struct db_stats *ret)
{
    const struct pool *p = pool_of(r);

    memset(ret, 0, sizeof(*ret));
    if (!p)
        return;
    *ret = (struct db_stats){
        .connections_ready = read_counter(p, GAUGE_STATE + CONN_READY),
        .connections_leased = read_counter(p, GAUGE_STATE + CONN_LEASED),
        .connections_connecting = read_counter(p, GAUGE_STATE + CONN_CONNECTING) +
                                  read_counter(p, GAUGE_STATE + CONN_PREPARING),
        .connections_waiting = read_counter(p, GAUGE_STATE + CONN_WAITING),
        .in_flight = read_counter(p, GAUGE_IN_FLIGHT),
        .queued = read_counter(p, GAUGE_QUEUED),
        .statements = read_counter(p, COUNT_STATEMENTS),
        .failures = read_counter(p, COUNT_FAILURES),
        .syncs = read_counter(p, COUNT_SYNCS),
        .flushes = read_counter(p, COUNT_FLUSHES),
        .identities = read_counter(p, COUNT_IDENTITIES),
        .connects = read_counter(p, COUNT_CONNECTS),
        .connect_failures = read_counter(p, COUNT_CONNECT_FAILURES),
        .lost = read_counter(p, COUNT_LOST),
        .retried_reads = read_counter(p, COUNT_RETRIED_READS),
        .retried_transactions = read_counter(p, COUNT_RETRIED_TX),
        .detached = read_counter(p, COUNT_DETACHED),
        .timeouts = read_counter(p, COUNT_TIMEOUTS),
        .refused = read_counter(p, COUNT_REFUSED),
        .gathered_rows = read_counter(p, COUNT_GATHERED_ROWS),
        .gathered_batches = read_counter(p, COUNT_GATHERED_BATCHES),
        .notifications = read_counter(p, COUNT_NOTIFICATIONS),
    };
}

void
db_stmt_stats_read(const struct reactor *r, const struct db_stmt *stmt, struct db_stmt_stats *ret)
{
    const struct pool *p = pool_of(r);
    const struct stmt_counters *s;

    memset(ret, 0, sizeof(*ret));
    if (!p || stmt->id == 0 || stmt->id >= p->n_plans)
        return;
    s = &p->stmt_counters[stmt->id];
    ret->calls = atomic_load_explicit(&s->calls, memory_order_relaxed);
    ret->failures = atomic_load_explicit(&s->failures, memory_order_relaxed);
    ret->rows = atomic_load_explicit(&s->rows, memory_order_relaxed);
    ret->total_ns = atomic_load_explicit(&s->total_ns, memory_order_relaxed);
}
