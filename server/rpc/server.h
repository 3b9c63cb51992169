/*
 * The gRPC server: listeners, completion queues, and the calls they bring to the reactors.
 *
 *     struct rpc_server *s = rpc_server_new(&options, err, sizeof(err));
 *     reactor_start(...);                 (each of them)
 *     rpc_server_start(s, err, ...);      (calls arrive from here on)
 *     ... SIGTERM ...
 *     rpc_server_drain(s);                (not ready, GOAWAY, calls end)
 *     rpc_server_stop(s);                 (queues are empty)
 *     reactor_stop(...), reactor_join(...);
 *     rpc_server_free(s);
 *
 * Thread: all of these are for the thread that owns the server, usually main's. They block;
 * handlers run on the reactors.
 */
#ifndef LUNA_RPC_SERVER_H
#define LUNA_RPC_SERVER_H

#include "base/config.h"
#include "rpc/health.h"
#include "rpc/rpc.h"

struct rpc_server;

struct rpc_options {
    /* Addresses, TLS, limits, keepalive and drain times. Must outlive the server. */
    const struct config *config;

    /* Made, and not necessarily started. Every two share a completion queue and its poller thread.
     */
    struct reactor *const *reactors;
    size_t reactor_count;

    /* Health and, where config says so, reflection are added by the server. */
    const struct rpc_service *const *services;
    size_t service_count;

    /* Around every call, the first one outermost. The arrays are copied, what they name is not. */
    const struct interceptor *const *interceptors;
    size_t interceptor_count;

    /* A google.protobuf.FileDescriptorSet with all imports (luna/descriptors.h): what the service
     * tables are compared with and what reflection tells. Must outlive the server. */
    const unsigned char *descriptor_set;
    size_t descriptor_set_size;

    /* Several servers may listen on one address, so that a new one takes over without a gap. */
    bool reuse_port;
};

/* NULL: `err` holds one line that says what to change (a table that does not match its proto, an
 * address that is taken or cannot be read, a certificate that does not load). */
struct rpc_server *rpc_server_new(const struct rpc_options *opt, char *err, size_t err_size);

/* Begins to accept connections. The reactors run, or will soon. */
void rpc_server_start(struct rpc_server *s);

/* The port the n-th listen address got: for addresses that ask for port 0. 0: none, or unix. */
int rpc_server_port(const struct rpc_server *s, size_t n);

/*
 * Ends service without failing a call: health says NOT_SERVING and Watch streams end, new
 * connections are still served for drain_delay, then clients are sent elsewhere (GOAWAY), and calls
 * may end by themselves until drain_timeout. What is alive then is answered UNAVAILABLE
 * (SHUTTING_DOWN). Blocks for all of that. Harmless when called twice.
 */
void rpc_server_drain(struct rpc_server *s);

/* Ends what drain left, cancels calls that are still there, empties the queues and ends the poller
 * threads. The reactors must still run. Drains without waiting when drain was not called. */
void rpc_server_stop(struct rpc_server *s);

/* After the reactors have been joined (or without a start). */
void rpc_server_free(struct rpc_server *s);

/* The server's own health services; main sets "" when its dependencies are there. */
struct health *rpc_server_health(struct rpc_server *s);

/* ---- numbers for metrics ------------------------------------------------------------------- */

/* The services served, health and reflection included. */
size_t rpc_server_service_count(const struct rpc_server *s);
const struct rpc_service *rpc_server_service(const struct rpc_server *s, size_t n);

/* A method's numbers over all reactors. Counters of calls are written by the reactors, each its
 * own, and summed here. Thread: any. */
struct rpc_totals {
    uint64_t finished[17]; /* by status */
    struct latency_total latency;
    uint64_t received_messages;
    uint64_t sent_messages;
    uint64_t received_bytes;
    uint64_t sent_bytes;
    int64_t in_flight;
};
void rpc_server_totals(const struct rpc_server *s, const struct rpc_method *m,
                       struct rpc_totals *ret);

struct rpc_server_stats {
    int64_t connections; /* open now */
    uint64_t connections_accepted;
    uint64_t connections_refused; /* over max_connections, or no descriptor was left */
    uint64_t connections_shed;    /* closed: they sent without end and starved the others */
    uint64_t calls_refused;       /* OVERLOADED */
    uint64_t calls_unknown;       /* no such method */
    int64_t calls_alive;          /* handlers running and answers on their way */
};
void rpc_server_stats(const struct rpc_server *s, struct rpc_server_stats *ret);

#endif
