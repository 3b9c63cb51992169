/*
 * The interceptor that logs a call, once, when it has ended: NOTICE for what went as it should or
 * was the caller's doing, WARNING for UNAVAILABLE, ERROR (with the detail that callers never see)
 * for what is ours: INTERNAL, UNKNOWN, DATA_LOSS. Stands first, so that refusals are logged too.
 */
#ifndef LUNA_EDGE_ACCESS_LOG_H
#define LUNA_EDGE_ACCESS_LOG_H

#include "rpc/rpc.h"

extern const struct interceptor access_log_interceptor;

#endif
