/*
 * Private to cache/: one connection to Redis as a state machine on the reactor's loop.
 *
 *   BACKOFF -> RESOLVING -> CONNECTING -> HANDSHAKE -> READY -> (broken) BACKOFF -> ...
 *
 * A unix socket and a numeric address skip nothing but the waiting. redis_conn_move() in
 * redis_conn.c is the only place that changes the state.
 */
#ifndef LUNA_CACHE_REDIS_CONN_H
#define LUNA_CACHE_REDIS_CONN_H

#include <stdatomic.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/arena.h"
#include "base/buf.h"
#include "cache/redis.h"
#include "cache/redis_url.h"
#include "run/reactor.h"
#include "run/timer.h"

enum redis_state {
    REDIS_CLOSED,
    REDIS_BACKOFF,
    REDIS_RESOLVING,
    REDIS_CONNECTING,
    REDIS_HANDSHAKE,
    REDIS_READY,
};

struct redis_stats {
    atomic_uint_fast64_t commands;
    atomic_uint_fast64_t replies;
    atomic_uint_fast64_t error_replies;
    atomic_uint_fast64_t writes;
    atomic_uint_fast64_t bytes_out;
    atomic_uint_fast64_t bytes_in;
    atomic_uint_fast64_t connects;
    atomic_uint_fast64_t connect_failures;
    atomic_uint_fast64_t disconnects;
    atomic_uint_fast64_t timeouts;
    atomic_uint_fast64_t refused;
    atomic_uint_fast64_t detached;
    atomic_uint_fast64_t script_reloads;
    atomic_uint_fast64_t messages;
    atomic_uint_fast64_t in_flight;
};

/* Only the reactor's thread writes, so that a relaxed load and store is enough. */
static inline void
redis_count(atomic_uint_fast64_t *counter, uint64_t n)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + n, memory_order_relaxed);
}

struct redis_conn;

struct redis_conn_ops {
    /* Connected: sends what the handshake needs besides AUTH and SELECT, each with
     * redis_conn_handshake(). */
    void (*handshake)(struct redis_conn *c);
    /* Ready. */
    void (*up)(struct redis_conn *c);
    /* A reply (in the scratch arena, gone after the call). False: not expected, the connection
     * breaks. */
    bool (*reply)(struct redis_conn *c, const struct redis_reply *reply);
    /* It was ready and is no more: everything in flight is lost. */
    void (*down)(struct redis_conn *c);
    /* When the oldest command in flight times out; NSEC_NEVER: none is in flight. */
    nsec_t (*oldest_deadline)(struct redis_conn *c);
    /* Sends a PING. */
    void (*ping)(struct redis_conn *c);
};

#define REDIS_MAX_ADDRESSES 8

struct redis_address {
    struct sockaddr_storage addr;
    socklen_t len;
};

struct redis_conn {
    const struct redis_conn_ops *ops;
    const char *role; /* for the log: "commands", "subscriptions" */
    struct reactor *reactor;
    struct redis_url url;
    char client_name[64];
    nsec_t timeout;
    nsec_t connect_timeout;
    nsec_t ping_interval;
    struct redis_stats *stats;

    enum redis_state state;
    atomic_bool is_ready;    /* state == REDIS_READY, for other threads */
    unsigned failures;       /* attempts since it was ready last */
    char why[160];           /* the last failure, without secrets */
    unsigned handshake_left; /* replies of the handshake still to come */
    struct timer timer;      /* what it means depends on the state */
    nsec_t last_read;
    struct redis_address addresses[REDIS_MAX_ADDRESSES];
    size_t address_count;
    size_t address_next;           /* the one to try next */
    struct redis_resolve *resolve; /* while RESOLVING */

    int fd; /* -1: none */
    uv_poll_t *poll;
    int poll_events;
    bool flush_asked;
    struct turn_hook flush;
    struct buf out;
    size_t out_sent; /* bytes of `out` written already */
    struct redisReader *reader;
    struct arena scratch; /* the reply being read */
    size_t scratch_items; /* its elements so far */
};

void redis_conn_init(struct redis_conn *c, struct reactor *r, const struct redis_conn_ops *ops,
                     const char *role, const struct redis_options *opt, const struct redis_url *url,
                     struct redis_stats *stats);
void redis_conn_open(struct redis_conn *c);
void redis_conn_close(struct redis_conn *c); /* for good; harmless when closed */
void redis_conn_fini(struct redis_conn *c);  /* closes, and frees what it holds */

/* Encodes a command; it leaves at the end of this turn. False: too much waits to be written. */
bool redis_conn_send(struct redis_conn *c, const struct str *argv, size_t argc);

/* The same while the handshake is being sent: its reply is taken by the connection. */
void redis_conn_handshake(struct redis_conn *c, const struct str *argv, size_t argc);

/* The oldest deadline became earlier than what the timer knows. */
void redis_conn_watch(struct redis_conn *c);

/* Closes, tells ops->down, and tries again later. `why` is copied. */
void redis_conn_break(struct redis_conn *c, const char *why);

/* private to redis_conn*.c: the parser of replies */
struct redisReader *redis_reader_new(struct redis_conn *c);
void redis_reader_free(struct redisReader *reader);
/* Takes bytes and calls redis_conn_take() for each whole reply, until the connection breaks.
 * False: not RESP; `why` says what. */
bool redis_reader_feed(struct redis_conn *c, const char *p, size_t n, const char **why);
/* False: the connection broke meanwhile. */
bool redis_conn_take(struct redis_conn *c, const struct redis_reply *reply);

#endif
