#include "metrics_probe.h"

#include "base/latency.h"
#include "edge/metrics.h"
#include "run/compute.h"
#include "run/reactor.h"

static void
more(struct buf *out)
{
    metrics_family(out, "test_more_total", "counter", "From a service.");
    metrics_u64(out, "test_more_total", "", UINT64_MAX);
}

void
probe_metrics(struct buf *out)
{
    static void (*const all[])(struct buf *) = {more};
    struct reactor *reactors[2] = {reactor_new(NULL), reactor_new(NULL)};
    struct compute *compute = compute_new(1, 1);
    const struct metrics_sources src = {.reactors = reactors,
                                        .reactor_count = 2,
                                        .compute = compute,
                                        .version = "1.2\"3",
                                        .more = all,
                                        .more_count = 1};
    metrics_render(out, &src);
    compute_free(compute);
    reactor_free(reactors[0]);
    reactor_free(reactors[1]);
}

void
probe_latency(struct buf *out, const char *labels, const int64_t *took, size_t n)
{
    struct latency one = {0};
    struct latency two = {0};
    struct latency_total total = {0};
    for (size_t i = 0; i < n; i++)
        latency_note(i % 2 ? &one : &two, took[i]);
    latency_add(&total, &one);
    latency_add(&total, &two);
    metrics_family(out, "test_seconds", "histogram", "Durations.");
    metrics_latency(out, "test_seconds", labels, &total);
}
