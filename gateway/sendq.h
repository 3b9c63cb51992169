/*
 * Messages on their way to the server, in order and one at a time, as gRPC wants them.
 *
 * Thread: any, under a lock of the owner's. Suspends: never.
 */
#ifndef LUNA_GATEWAY_SENDQ_H
#define LUNA_GATEWAY_SENDQ_H

#include "base/buf.h"
#include "gateway/upstream.h"

#define SENDQ_ENOUGH (64 << 10) /* bytes, from which on the client should not be read */

struct sendq {
    struct upstream_call *call;
    struct buf waiting; /* messages, each behind its length as a size_t, from `taken` on */
    size_t taken;
    bool sending; /* on_sent will come */
    bool closing; /* half-close behind what waits */
    bool closed;
};

/* `max`: the largest message. */
void sendq_init(struct sendq *q, struct upstream_call *c, size_t max);
void sendq_fini(struct sendq *q);

/* Sends it at once, or when its turn comes. False: larger than `max`, or too much waits. */
bool sendq_put(struct sendq *q, struct str message);

/* No more messages will come. */
void sendq_close(struct sendq *q);

/* For the call's on_sent. */
void sendq_sent(struct sendq *q);

/* Bytes that wait. */
static inline size_t
sendq_bytes(const struct sendq *q)
{
    return q->waiting.len - q->taken;
}

/* Enough waits: whoever puts should pause. */
static inline bool
sendq_full(const struct sendq *q)
{
    return sendq_bytes(q) >= SENDQ_ENOUGH;
}

#endif
