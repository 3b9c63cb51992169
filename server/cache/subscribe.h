/*
 * Pub/sub: one more connection a reactor, opened with the first subscription.
 *
 * Delivery is at most once: whoever subscribes must be able to read the truth elsewhere, and is
 * told when to do so (REDIS_EVENT_READY comes after each (re)connect: what was sent before it is
 * lost).
 *
 * Thread: the reactor's own. Suspends: never.
 */
#ifndef LUNA_CACHE_SUBSCRIBE_H
#define LUNA_CACHE_SUBSCRIBE_H

#include "cache/redis.h"

struct redis_subscription;

enum redis_event {
    REDIS_EVENT_READY,   /* from now on messages arrive: read the present state */
    REDIS_EVENT_MESSAGE, /* `payload` is valid during the call */
    REDIS_EVENT_LOST,    /* the connection broke; REDIS_EVENT_READY will follow */
};

/* Runs on the loop: must not suspend. It may subscribe and unsubscribe. */
typedef void (*redis_event_fn)(void *arg, enum redis_event event, struct str payload);

/* Follows `channel`; several may follow the same one. NULL: the reactor has no Redis. */
struct redis_subscription *redis_subscribe(struct reactor *reactor, struct str channel,
                                           redis_event_fn fn, void *arg);
void redis_unsubscribe(struct redis_subscription *s);

#endif
