/*
 * All numbers of the process as Prometheus text, format 0.0.4.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 *
 * Thread: any. Suspends: never. Reads what the reactors write, relaxed: each number is exact,
 * together they are not a snapshot.
 */
#ifndef LUNA_EDGE_METRICS_H
#define LUNA_EDGE_METRICS_H

#include "base/buf.h"

struct compute;
struct db;
struct latency_total; /* base/latency.h */
struct reactor;
struct redis;
struct rpc_server;

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_MAX_BYTES    ((size_t)4 << 20)

struct metrics_sources {
    struct rpc_server *server; /* each of these may be NULL: left out */
    struct reactor *const *reactors;
    size_t reactor_count;
    const struct db *db;        /* attached to each reactor */
    struct redis *const *redis; /* one for each reactor */
    struct compute *compute;
    const char *version;
    /* Further ones, from services: each appends whole families with the functions below. */
    void (*const *more)(struct buf *out);
    size_t more_count;
};

/* Writes everything into `out` (max METRICS_MAX_BYTES). */
void metrics_render(struct buf *out, const struct metrics_sources *src);

/* One family: its head, then its samples. `type`: "counter", "gauge" or "histogram". */
void metrics_family(struct buf *out, const char *name, const char *type, const char *help);

/* name{labels} value; `labels` is "" or "a=\"b\",c=\"d\"" with values escaped by metrics_label. */
void metrics_u64(struct buf *out, const char *name, const char *labels, uint64_t value);
void metrics_f64(struct buf *out, const char *name, const char *labels, double value);

/* The samples of a histogram. */
void metrics_latency(struct buf *out, const char *name, const char *labels,
                     const struct latency_total *l);

/* Appends name="value" to a list of labels, with a comma before it unless it is the first. */
void metrics_label(struct buf *labels, const char *name, const char *value);

#endif
