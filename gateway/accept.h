/*
 * What the Accept header says of the types that calls are answered with
 * (https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1): the range that names a type most exactly
 * gives its weight.
 *
 * Thread: any; no state but the caller's. Suspends: never.
 */
#ifndef LUNA_GATEWAY_ACCEPT_H
#define LUNA_GATEWAY_ACCEPT_H

#include "base/str.h"

enum accept_kind {
    ACCEPT_JSON,
    ACCEPT_NDJSON,
    ACCEPT_SSE,
    ACCEPT_KINDS,
};

/* Zeroed: no header, which takes everything. */
struct accepted {
    float weights[ACCEPT_KINDS];
    uint8_t exactness[ACCEPT_KINDS]; /* of the range that the weight comes from; 0: none fits */
    bool given;
};

/* Adds one header's value: several headers are one list. */
void accept_read(struct accepted *a, struct str value);

bool accept_takes(const struct accepted *a, enum accept_kind kind);

/* True when a stream is to come as events rather than as lines. */
bool accept_likes_events(const struct accepted *a);

/* The weight among the parameters of one element of such a list, "q=0.5": 1 without one, 0 for one
 * that is no number. */
float accept_weight(struct str parameters);

#endif
