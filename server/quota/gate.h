/*
 * The decision: may this account spend so much now? One Redis script decides the quota and every
 * rate limit together, all or nothing, and charges what it admits.
 *
 * Rates are GCRA: a limit of capacity c and period p refills one unit every p microseconds and
 * never holds more than c, so that no window of any length w admits more than c + w / p. Times are
 * Redis', in microseconds; a unit's period is a whole number of them, 1 to 2^40 (12 days) - rates
 * above a million a second are given as a larger cost.
 *
 * Keys: user:{account}:quota and user:{account}:spent; user:{account}:rate:<name> for each limit.
 *
 * Thread: the reactor's.
 */
#ifndef LUNA_QUOTA_GATE_H
#define LUNA_QUOTA_GATE_H

#include "base/clock.h"
#include "cache/script.h"
#include "run/ctx.h"

#define GATE_MAX_LIMITS   8
#define GATE_MAX_COST     INT64_C(1000000000000)
#define GATE_MAX_CAPACITY INT64_C(1000000000)
#define GATE_MAX_UNIT_US  (INT64_C(1) << 40)

struct gate_limit {
    const char *name; /* "key:7", "account": part of the Redis key; [a-z0-9:._-] */
    int64_t capacity; /* burst + 1; 1 to GATE_MAX_CAPACITY */
    int64_t unit_us;  /* microseconds in which one unit comes back; 1 to GATE_MAX_UNIT_US */
    bool report_only; /* would refuse, and is told, but admits */
};

enum gate_verdict {
    GATE_ADMITTED,
    GATE_QUOTA_SPENT,
    GATE_RATE_LIMITED,
    GATE_NOT_LOADED, /* the quota of this account is not in Redis: load it, ask again */
};

struct gate_limit_state {
    bool admits;
    int64_t remaining; /* whole units left after this decision */
    nsec_t
        retry_after; /* when refused: from when on the same cost is admitted; NSEC_NEVER: never */
    nsec_t reset_after; /* until the limit is full again */
};

struct gate_decision {
    enum gate_verdict verdict;
    size_t refused_by;       /* GATE_RATE_LIMITED: index of the first limit that refused */
    int64_t quota_remaining; /* when the quota was charged or refused */
    struct gate_limit_state limits[GATE_MAX_LIMITS];
};

struct gate_request {
    int64_t account_id;
    int64_t cost; /* 0: only look */
    bool charge_quota;
    const struct gate_limit *limits;
    size_t limit_count;
    usec_t now; /* 0: Redis' own time. Otherwise for simulations and tests */
};

extern const struct redis_script *const quota_scripts[];
extern const size_t quota_script_count;

/* Suspends: once. Fails: CACHE_UNAVAILABLE, INTERNAL_ERROR. A refusal is not a failure. */
enum status gate_decide(struct ctx *ctx, const struct gate_request *req,
                        struct gate_decision *ret) WARN_UNUSED;

/* Puts what remains into Redis unless somebody else has. Suspends: once. */
enum status gate_load(struct ctx *ctx, int64_t account_id, int64_t remaining) WARN_UNUSED;

#endif
