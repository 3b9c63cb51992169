/* /metrics: what the gateway counted, in Prometheus' text format. */
#include <inttypes.h>
#include <stdlib.h>

#include "gateway/cache.h"
#include "gateway/gateway.h"
#include "gateway/guard.h"

/* Upper bounds are 100 us * 2^i; the last bucket is +Inf. */
#define BUCKETS 18

static const int codes[] = {200, 202, 204, 304, 400, 401, 403, 404, 405, 409, 412, 413,
                            415, 422, 429, 431, 499, 500, 501, 503, 504, 507, 0};

struct method_counters {
    const char *name;
    atomic_uint_fast64_t by_code[ARRAY_LEN(codes)]; /* the last: any other code */
    atomic_uint_fast64_t buckets[BUCKETS];
    atomic_uint_fast64_t sum_ns;
    atomic_uint_fast64_t in_bytes;
    atomic_uint_fast64_t out_bytes;
};

struct metrics {
    const struct schema_service **services;
    size_t service_count;
    size_t method_count; /* the row behind the last is of requests without a method */
    struct method_counters rows[];
};

struct metrics *
metrics_new(const struct schema *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->service_count; i++)
        n += s->services[i]->method_count;
    struct metrics *m = calloc(1, sizeof(*m) + (n + 1) * sizeof(m->rows[0]));
    ASSERT(m);
    m->services = s->services;
    m->service_count = s->service_count;
    for (size_t i = 0; i < s->service_count; i++)
        for (size_t j = 0; j < s->services[i]->method_count; j++)
            m->rows[m->method_count++].name = s->services[i]->methods[j].path;
    m->rows[n].name = "";
    return m;
}

void
metrics_free(struct metrics *m)
{
    free(m);
}

static struct method_counters *
row_of(struct metrics *m, const struct schema_method *method)
{
    size_t at = 0;
    for (size_t i = 0; method && i < m->service_count; i++) {
        if (m->services[i] == method->service)
            return &m->rows[at + (size_t)(method - method->service->methods)];
        at += m->services[i]->method_count;
    }
    return &m->rows[m->method_count];
}

static void
add(atomic_uint_fast64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void
metrics_count(struct metrics *m, const struct schema_method *method, int http, nsec_t took,
              size_t in_bytes, size_t out_bytes)
{
    struct method_counters *row = row_of(m, method);
    size_t code = 0, bucket = 0;
    while (codes[code] != http && codes[code] != 0)
        code++;
    while (bucket + 1 < BUCKETS && took > USEC(100) << bucket)
        bucket++;
    add(&row->by_code[code], 1);
    add(&row->buckets[bucket], 1);
    add(&row->sum_ns, (uint64_t)took);
    add(&row->in_bytes, in_bytes);
    add(&row->out_bytes, out_bytes);
}

static void
write_row(struct method_counters *row, struct buf *out)
{
    uint64_t total = 0;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        uint64_t n = atomic_load(&row->by_code[i]);
        if (n == 0)
            continue;
        total += n;
        buf_printf(out, "luna_gateway_requests_total{method=\"%s\",code=\"%d\"} %" PRIu64 "\n",
                   row->name, codes[i], n);
    }
    if (total == 0)
        return;
    uint64_t sum = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        sum += atomic_load(&row->buckets[i]);
        if (i + 1 < BUCKETS)
            buf_printf(
                out, "luna_gateway_request_seconds_bucket{method=\"%s\",le=\"%.4f\"} %" PRIu64 "\n",
                row->name, 1e-4 * (double)(1u << i), sum);
        else
            buf_printf(
                out, "luna_gateway_request_seconds_bucket{method=\"%s\",le=\"+Inf\"} %" PRIu64 "\n",
                row->name, sum);
    }
    buf_printf(out, "luna_gateway_request_seconds_sum{method=\"%s\"} %.6f\n", row->name,
               (double)atomic_load(&row->sum_ns) / 1e9);
    buf_printf(out, "luna_gateway_request_seconds_count{method=\"%s\"} %" PRIu64 "\n", row->name,
               sum);
    buf_printf(out, "luna_gateway_received_bytes_total{method=\"%s\"} %" PRIu64 "\n", row->name,
               (uint64_t)atomic_load(&row->in_bytes));
    buf_printf(out, "luna_gateway_sent_bytes_total{method=\"%s\"} %" PRIu64 "\n", row->name,
               (uint64_t)atomic_load(&row->out_bytes));
}

void
metrics_write(const struct gateway *gw, struct buf *out)
{
    struct metrics *m = gw->metrics;
    buf_puts(out, "# TYPE luna_gateway_requests_total counter\n"
                  "# TYPE luna_gateway_request_seconds histogram\n"
                  "# TYPE luna_gateway_received_bytes_total counter\n"
                  "# TYPE luna_gateway_sent_bytes_total counter\n"
                  "# TYPE luna_gateway_requests_in_flight gauge\n"
                  "# TYPE luna_gateway_connections gauge\n"
                  "# TYPE luna_gateway_upstream_ready gauge\n");
    for (size_t i = 0; i <= m->method_count; i++)
        write_row(&m->rows[i], out);
    buf_printf(out, "luna_gateway_requests_in_flight %d\n", atomic_load(&gw->in_flight));
    buf_printf(out, "luna_gateway_connections %u\n", guard_connections(gw->guard));
    buf_printf(out, "luna_gateway_upstream_ready %d\n", upstream_ready(gw->upstream) ? 1 : 0);
    if (gw->cache)
        cache_metrics(gw->cache, out);
}
