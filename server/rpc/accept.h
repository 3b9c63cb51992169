/*
 * Listening and accepting, done here rather than by gRPC core: core stops listening for good when
 * accept(2) once fails for want of descriptors, has no limit of connections, and shares a port with
 * whoever asks. An accepted socket is handed to core, which does TLS and HTTP/2 on it.
 *
 * One thread of its own, asleep but when somebody connects.
 */
#ifndef LUNA_RPC_ACCEPT_H
#define LUNA_RPC_ACCEPT_H

#include <grpc/grpc.h>
#include <stdatomic.h>

#include "base/config.h"

struct acceptor;

struct acceptor_stats {
    atomic_int_fast64_t open;
    atomic_uint_fast64_t accepted;
    atomic_uint_fast64_t refused;
    atomic_uint_fast64_t shed; /* closed because they starved others, see connections.h */
};

/* Binds and listens on config's addresses. NULL: `err` says which one failed, and why. */
struct acceptor *acceptor_new(const struct config *cfg, bool reuse_port, char *err,
                              size_t err_size);

/* Tells core of the places that sockets will come from: `arg` belongs into the arguments of the
 * server, the rest is done before it starts. */
#define ACCEPTOR_ARGS 2
void acceptor_args(struct acceptor *a, grpc_arg *ret_args);
bool acceptor_attach(struct acceptor *a, grpc_server *core, grpc_server_credentials *tcp_creds,
                     grpc_server_credentials *unix_creds);

/* `stuck(arg)`, called every CONNECTIONS_WATCH_MS on a thread of its own: whether a poller computed
 * since the last time without completing anything. */
void acceptor_start(struct acceptor *a, bool (*stuck)(void *arg), void *arg);

/* Accepts what has connected by now, closes the listening sockets and ends the thread. */
void acceptor_stop(struct acceptor *a);
void acceptor_free(struct acceptor *a);

int acceptor_port(const struct acceptor *a, size_t n);
const struct acceptor_stats *acceptor_stats(const struct acceptor *a);

/* The socket of a TCP connection by connection_name, see connections.h; -1: none. Thread: any. */
int acceptor_find(struct acceptor *a, uint64_t name);

/* Connections that are still open; looks at each of them. Thread: any, after acceptor_stop. */
int64_t acceptor_count_open(struct acceptor *a);

#endif
