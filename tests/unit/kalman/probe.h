/* What C++ cannot include: reactors, the compute pool, method tables. */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "run/ctx.h"

/* Runs `fn(ctx, arg)` on a fiber of a reactor of its own, with a compute pool of `threads`. */
void probe_run(void (*fn)(struct ctx *ctx, void *arg), void *arg, size_t threads);

/* Tasks the pool has finished so far. */
uint64_t probe_pool_done(void);

/* Calls a unary method of KalmanService by name, past the interceptors, and copies the first
 * failure. */
enum status probe_unary(struct ctx *ctx, const char *method, const ProtobufCMessage *req,
                        ProtobufCMessage *resp, struct error *ret_error);

/* Cancels `ctx` after `after` nanoseconds. */
void probe_cancel_later(struct ctx *ctx, nsec_t after);
