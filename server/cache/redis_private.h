/* Private to cache/: the reactor's Redis, shared by commands, scripts and subscriptions. */
#ifndef LUNA_CACHE_REDIS_PRIVATE_H
#define LUNA_CACHE_REDIS_PRIVATE_H

#include "base/list.h"
#include "cache/redis_conn.h"
#include "cache/script.h"

struct redis_subscriber;

/* A command in flight. Belongs to the connection; its waiter may leave before it is answered. */
struct redis_op {
    struct list link;
    struct ctx *waiter;              /* NULL: nobody waits (any more) */
    struct fiber *fiber;             /* of the waiter */
    struct redis_reply *reply;       /* in the waiter's arena, once `done` */
    struct redis_listener *listener; /* instead of a waiter */
    bool done;                       /* answered, or lost when `reply` is NULL */
    nsec_t deadline;
};

struct redis {
    struct redis_conn conn;
    struct reactor *reactor;
    size_t users;          /* its owner and the fibers that wait */
    struct list in_flight; /* oldest first */
    size_t in_flight_count;
    struct list free_ops;
    size_t free_op_count;
    struct redis_options opt;            /* for the subscription connection; url is not kept */
    struct redis_subscriber *subscriber; /* NULL until the first subscription */
    struct stop_hook stop;
    struct redis_stats stats;
};

/* As redis_command, but an error reply is returned as it is. */
enum status redis_exchange(struct ctx *ctx, const struct str *argv, size_t argc,
                           struct redis_reply **ret) WARN_UNUSED;

/* The failure that an error reply means. */
enum status redis_fail_reply(struct ctx *ctx, const struct redis_reply *reply);

void redis_subscriber_stop(struct redis_subscriber *s);
void redis_subscriber_free(struct redis_subscriber *s);

#endif
