#include "edge/metrics.h"

#include <inttypes.h>
#include <math.h>

#include "base/latency.h"
#include "base/log.h"
#include "edge/auth.h"
#include "edge/metrics_private.h"
#include "rpc/server.h"
#include "run/compute.h"
#include "run/reactor.h"

void
metrics_family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
put_name(struct buf *out, const char *name, const char *labels)
{
    buf_puts(out, name);
    if (labels[0]) {
        buf_putc(out, '{');
        buf_puts(out, labels);
        buf_putc(out, '}');
    }
    buf_putc(out, ' ');
}

void
metrics_u64(struct buf *out, const char *name, const char *labels, uint64_t value)
{
    put_name(out, name, labels);
    buf_printf(out, "%" PRIu64 "\n", value);
}

void
metrics_f64(struct buf *out, const char *name, const char *labels, double value)
{
    put_name(out, name, labels);
    if (isnan(value))
        buf_puts(out, "NaN\n");
    else if (isinf(value))
        buf_puts(out, value > 0 ? "+Inf\n" : "-Inf\n");
    else
        buf_printf(out, "%.15g\n", value);
}

void
metrics_latency(struct buf *out, const char *name, const char *labels,
                const struct latency_total *l)
{
    const char *comma = *labels ? "," : "";
    char part[128];
    uint64_t sum = 0;
    double bound_s = (double)LATENCY_FIRST * 1e-9;
    for (int i = 0; i < LATENCY_BUCKETS; i++, bound_s *= 2) {
        sum += l->buckets[i];
        if (i < LATENCY_BUCKETS - 1)
            buf_printf(out, "%s_bucket{%s%sle=\"%.10g\"} %" PRIu64 "\n", name, labels, comma,
                       bound_s, sum);
    }
    buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma, sum);
    snprintf(part, sizeof(part), "%s_sum", name);
    metrics_f64(out, part, labels, (double)l->sum_ns * 1e-9);
    snprintf(part, sizeof(part), "%s_count", name);
    metrics_u64(out, part, labels, sum);
}

void
metrics_label(struct buf *labels, const char *name, const char *value)
{
    if (labels->len > 0)
        buf_putc(labels, ',');
    buf_puts(labels, name);
    buf_puts(labels, "=\"");
    for (const char *p = value; *p; p++) {
        if (*p == '\n') {
            buf_puts(labels, "\\n");
            continue;
        }
        if (*p == '"' || *p == '\\')
            buf_putc(labels, '\\');
        buf_putc(labels, *p);
    }
    buf_putc(labels, '"');
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* Calls `fn` for each method with its labels and totals. */
static void
each_method(struct buf *out, const struct rpc_server *server,
            void (*fn)(struct buf *out, const char *labels, const struct rpc_totals *t))
{
    struct buf labels;
    buf_init(&labels, 1024);
    for (size_t i = 0; i < rpc_server_service_count(server); i++) {
        const struct rpc_service *service = rpc_server_service(server, i);
        for (size_t j = 0; j < service->method_count; j++) {
            struct rpc_totals totals;
            rpc_server_totals(server, &service->methods[j], &totals);
            buf_clear(&labels);
            metrics_label(&labels, "service", service->name);
            metrics_label(&labels, "method", service->methods[j].name);
            fn(out, labels.data, &totals);
        }
    }
    buf_fini(&labels);
}

static void
put_finished(struct buf *out, const char *labels, const struct rpc_totals *t)
{
    for (int st = 0; st < 17; st++) {
        /* OK is always there, so that rates have a start; others once they happened. */
        if (st != 0 && t->finished[st] == 0)
            continue;
        buf_printf(out, "luna_calls_total{%s,status=\"%s\"} %" PRIu64 "\n", labels,
                   status_name((enum status)st), t->finished[st]);
    }
}

static void
put_latency(struct buf *out, const char *labels, const struct rpc_totals *t)
{
    metrics_latency(out, "luna_call_duration_seconds", labels, &t->latency);
}

static void
put_in_flight(struct buf *out, const char *labels, const struct rpc_totals *t)
{
    metrics_f64(out, "luna_calls_in_flight", labels, (double)t->in_flight);
}

static void
put_received_messages(struct buf *out, const char *labels, const struct rpc_totals *t)
{
    metrics_u64(out, "luna_messages_received_total", labels, t->received_messages);
}

static void
put_sent_messages(struct buf *out, const char *labels, const struct rpc_totals *t)
{
    metrics_u64(out, "luna_messages_sent_total", labels, t->sent_messages);
}

static void
put_received_bytes(struct buf *out, const char *labels, const struct rpc_totals *t)
{
    metrics_u64(out, "luna_message_bytes_received_total", labels, t->received_bytes);
}

static void
put_sent_bytes(struct buf *out, const char *labels, const struct rpc_totals *t)
{
    metrics_u64(out, "luna_message_bytes_sent_total", labels, t->sent_bytes);
}

static void
put_one(struct buf *out, const char *name, const char *type, const char *help, double value)
{
    metrics_family(out, name, type, help);
    metrics_f64(out, name, "", value);
}

static void
render_server(struct buf *out, const struct rpc_server *server)
{
    metrics_family(out, "luna_calls_total", "counter", "Calls that have ended, by status.");
    each_method(out, server, put_finished);
    metrics_family(out, "luna_call_duration_seconds", "histogram",
                   "From the arrival of a call to the end of its handler.");
    each_method(out, server, put_latency);
    metrics_family(out, "luna_calls_in_flight", "gauge", "Calls whose handler has not ended.");
    each_method(out, server, put_in_flight);
    metrics_family(out, "luna_messages_received_total", "counter", "Request messages.");
    each_method(out, server, put_received_messages);
    metrics_family(out, "luna_messages_sent_total", "counter", "Response messages.");
    each_method(out, server, put_sent_messages);
    metrics_family(out, "luna_message_bytes_received_total", "counter",
                   "Bytes of request messages, headers and framing left out.");
    each_method(out, server, put_received_bytes);
    metrics_family(out, "luna_message_bytes_sent_total", "counter",
                   "Bytes of response messages, headers and framing left out.");
    each_method(out, server, put_sent_bytes);

    struct rpc_server_stats s;
    rpc_server_stats(server, &s);
    put_one(out, "luna_connections", "gauge", "Open client connections.", (double)s.connections);
    put_one(out, "luna_connections_accepted_total", "counter", "Client connections accepted.",
            (double)s.connections_accepted);
    put_one(out, "luna_connections_refused_total", "counter",
            "Client connections refused: over the limit, or no descriptor was left.",
            (double)s.connections_refused);
    put_one(out, "luna_connections_shed_total", "counter",
            "Client connections closed: they sent without end and starved the others.",
            (double)s.connections_shed);
    put_one(out, "luna_calls_refused_total", "counter",
            "Calls refused because the reactor was full.", (double)s.calls_refused);
    put_one(out, "luna_calls_unknown_total", "counter", "Calls of methods that do not exist.",
            (double)s.calls_unknown);
    put_one(out, "luna_calls_alive", "gauge", "Handlers running and answers on their way.",
            (double)s.calls_alive);
}

/* ---- reactors, compute, auth ---------------------------------------------------------------- */

struct reactor_number {
    const char *name;
    const char *type;
    const char *help;
    size_t offset;
    bool is_size; /* size_t, otherwise uint64_t */
};

#define NUMBER(member, is_size) offsetof(struct reactor_stats, member), is_size

static const struct reactor_number reactor_numbers[] = {
    {"luna_reactor_turns_total", "counter", "Turns of the event loop.", NUMBER(turns, false)},
    {"luna_reactor_wakeups_total", "counter", "Times another thread had to wake the loop.",
     NUMBER(wakeups, false)},
    {"luna_reactor_inbox_messages_total", "counter", "Messages from other threads.",
     NUMBER(inbox_messages, false)},
    {"luna_fiber_switches_total", "counter", "Switches to a fiber.", NUMBER(fiber_switches, false)},
    {"luna_fibers_refused_total", "counter",
     "Fibers that could not be made: the cap, or no memory.", NUMBER(fibers_refused, false)},
    {"luna_fibers", "gauge", "Fibers alive.", NUMBER(fibers_live, true)},
    {"luna_fiber_stacks", "gauge", "Stacks mapped, free ones included.",
     NUMBER(stacks_mapped, true)},
    {"luna_timers", "gauge", "Timers set.", NUMBER(timers, true)},
};

static void
render_reactors(struct buf *out, const struct metrics_sources *src)
{
    for (size_t i = 0; i < ARRAY_LEN(reactor_numbers); i++) {
        const struct reactor_number *n = &reactor_numbers[i];
        metrics_family(out, n->name, n->type, n->help);
        for (size_t r = 0; r < src->reactor_count; r++) {
            const char *p = (const char *)reactor_stats(src->reactors[r]) + n->offset;
            uint64_t v = n->is_size
                             ? __atomic_load_n((const size_t *)(const void *)p, __ATOMIC_RELAXED)
                             : __atomic_load_n((const uint64_t *)(const void *)p, __ATOMIC_RELAXED);
            buf_printf(out, "%s{reactor=\"%zu\"} %" PRIu64 "\n", n->name, r, v);
        }
    }
}

static void
render_compute(struct buf *out, const struct compute *compute)
{
    const struct compute_stats *s = compute_stats(compute);
    put_one(out, "luna_compute_done_total", "counter",
            "Computations of the thread pool that ended.",
            (double)__atomic_load_n((const uint64_t *)(const void *)&s->done, __ATOMIC_RELAXED));
    put_one(out, "luna_compute_queued", "gauge", "Computations that wait for a thread.",
            (double)__atomic_load_n((const size_t *)(const void *)&s->queued, __ATOMIC_RELAXED));
    put_one(out, "luna_compute_running", "gauge", "Computations that run.",
            (double)__atomic_load_n((const size_t *)(const void *)&s->running, __ATOMIC_RELAXED));
}

static void
render_auth(struct buf *out)
{
    struct auth_numbers n;
    auth_numbers(&n);
    metrics_family(out, "luna_auth_refused_total", "counter",
                   "Calls refused by the auth interceptor.");
    metrics_u64(out, "luna_auth_refused_total", "why=\"missing\"", n.refused_missing);
    metrics_u64(out, "luna_auth_refused_total", "why=\"bad\"", n.refused_bad);
    metrics_u64(out, "luna_auth_refused_total", "why=\"expired\"", n.refused_expired);
    metrics_u64(out, "luna_auth_refused_total", "why=\"role\"", n.refused_role);
    metrics_u64(out, "luna_auth_refused_total", "why=\"scope\"", n.refused_scope);
    metrics_u64(out, "luna_auth_refused_total", "why=\"limited\"", n.limited);
}

void
metrics_render(struct buf *out, const struct metrics_sources *src)
{
    struct buf labels;
    buf_init(&labels, 256);
    metrics_label(&labels, "version", src->version ? src->version : "");
    metrics_family(out, "luna_build_info", "gauge", "Always 1; the labels tell.");
    metrics_u64(out, "luna_build_info", labels.data, 1);
    buf_fini(&labels);
    if (src->server)
        render_server(out, src->server);
    render_reactors(out, src);
    if (src->compute)
        render_compute(out, src->compute);
    if (src->db)
        metrics_render_db(out, src);
    if (src->redis)
        metrics_render_redis(out, src);
    render_auth(out);
    put_one(out, "luna_log_lines_dropped_total", "counter", "Log lines that could not be written.",
            (double)log_dropped());
    for (size_t i = 0; i < src->more_count; i++)
        src->more[i](out);
    metrics_render_process(out);
}
