/*
 * grpc.health.v1 and the statuses behind it. The service name "" is the server as a whole.
 *
 * Services are known once health_set was called for them; Check of another one is NOT_FOUND, Watch
 * says SERVICE_UNKNOWN and goes on.
 */
#ifndef LUNA_RPC_HEALTH_H
#define LUNA_RPC_HEALTH_H

#include "base/defs.h"

struct health;

enum health_status {
    HEALTH_UNKNOWN = 0,
    HEALTH_SERVING = 1,
    HEALTH_NOT_SERVING = 2,
    HEALTH_SERVICE_UNKNOWN = 3, /* never set, only answered */
};

/* Sets it and tells the watchers. Once drained, everything stays NOT_SERVING. Thread: any. */
void health_set(struct health *h, const char *service, enum health_status st);

/* HEALTH_SERVICE_UNKNOWN: no such service. Thread: any. */
enum health_status health_get(struct health *h, const char *service);

/* Sets all services and "" to `st`. */
void health_set_all(struct health *h, enum health_status st);

#endif
