/*
 * Failures as HTTP answers: one JSON shape, whoever failed.
 *
 * Thread: any; no state but the caller's. Suspends: never.
 */
#ifndef LUNA_GATEWAY_PROBLEM_H
#define LUNA_GATEWAY_PROBLEM_H

#include "base/status.h"
#include "gateway/json.h"

/* A failure: what gRPC says of it. */
struct problem {
    enum status status;
    int http;              /* the answer's status */
    struct str message;    /* for the caller; UTF-8 is not relied on */
    struct str details;    /* serialized google.rpc.Status (grpc-status-details-bin), or empty */
    int64_t retry_after_s; /* 0: none */
};

/* Fills in `http` and `retry_after_s` from status and details, and replaces a message that the
 * details hold whole. A reason of Luna's own decides the HTTP code, otherwise the status does. */
void problem_settle(struct problem *p);

/* A failure that the gateway itself found. `field` is NULL when no field is to blame. The details
 * are made in `a`. */
void problem_make(struct problem *p, struct arena *a, enum reason r, const char *field,
                  const char *fmt, ...) PRINTF(5, 6);

/* What a json_error means: 400, 413 or 422. */
void problem_of_json(struct problem *p, struct arena *a, const struct json_error *e);

/* Appends the JSON object of CONTRACT's shape. */
void problem_write(const struct problem *p, const struct schema *s, struct buf *out);

/* The Connect protocol's shape: {"code": "invalid_argument", "message", "details": [{type,
 * value}]}. */
void problem_write_connect(const struct problem *p, struct buf *out);

#endif
