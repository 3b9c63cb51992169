/*
 * The open connections, and which of them starves the others.
 *
 * gRPC core 1.51 takes header blocks that never end: it keeps what came and goes through all of it
 * again with each frame (CVE-2023-33953), so that one connection can occupy the thread that reads
 * for many. Core has no limit for that; what it shows from outside is a poller that computes and
 * completes nothing, while a connection sends and is never written to (data that flow control
 * counts is answered with window updates, pings and settings with acknowledgements).
 */
#ifndef LUNA_RPC_CONNECTIONS_H
#define LUNA_RPC_CONNECTIONS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"

/* The socket's number and, since numbers are used again, its inode. */
struct connection {
    uint64_t name; /* connection_name of its peer; 0: not TCP */
    int fd;
    ino_t inode;
    uint64_t sent;     /* bytes, as connections_watch last saw them change */
    uint64_t received; /* bytes, then */
    bool shut;         /* by connections_watch; core still goes through what it has read */
};

struct connections {
    struct connection *items;
    size_t count;
    size_t cap;
    bool stuck; /* at the last connections_watch */
};

void connections_fini(struct connections *c);

void connections_add(struct connections *c, int fd);

/* A hash of what core calls the peer of a call ("ipv4:192.0.2.1:4711"); never 0. */
uint64_t connection_name(const char *peer);

/* The socket of a TCP connection by connection_name; -1: there is none. */
int connections_find(const struct connections *c, uint64_t name);

/* Forgets the closed ones. Core does not say when a connection ends; its socket does. */
void connections_sweep(struct connections *c);

/*
 * To be told every CONNECTIONS_WATCH_MS whether a poller was stuck meanwhile. When it was twice in
 * a row, shuts down the connection that has sent the most since it was last written to.
 * Returns whether it did. Only TCP connections are looked at: who may open a unix socket is
 * trusted.
 */
#define CONNECTIONS_WATCH_MS  100
#define CONNECTIONS_STUCK_CPU MSEC(25) /* of a thread between two looks, and nothing completed */
bool connections_watch(struct connections *c, bool stuck);

/* CPU time that a running thread has used; 0 when that cannot be told. */
nsec_t thread_cpu(pthread_t thread);

#endif
