/* X-RateLimit-*, which are older than RateLimit and say less: servers send over gRPC what the two
 * fields of draft-ietf-httpapi-ratelimit-headers-10 hold, and what HTTP callers may know from
 * before is read from them here. */
#ifndef LUNA_GATEWAY_RATELIMIT_H
#define LUNA_GATEWAY_RATELIMIT_H

#include "base/str.h"

/* One limit of several. */
struct ratelimit {
    int64_t limit; /* units */
    int64_t remaining;
    int64_t reset; /* seconds until it is whole again; 0: it will not be by itself */
};

/* The one of which least is left; the first of those that have the same. `policy` and `state` are
 * the values of RateLimit-Policy and RateLimit, and name the same limits in the same order. False:
 * they do not, or cannot be read. */
bool ratelimit_tightest(struct str policy, struct str state, struct ratelimit *ret);

#endif
