/*
 * The gate: every metered call is charged before its handler runs, and what failed for reasons that
 * are ours is given back. One Redis script decides all that applies, all or nothing: the account's
 * quota, the rates of the account and of the key, concurrent calls.
 *
 * What holds, whatever is lost and whoever dies: an account is never admitted more than its limit.
 * Postgres notes what Redis may spend before Redis spends it (epochs, migrations/0008_quota_gate);
 * what was spent reaches Postgres exactly once.
 *
 * When Redis is away a method does what its policy says: it fails, or it is let through uncounted.
 *
 * Thread: the reactor's own, except where a function says otherwise.
 */
#ifndef LUNA_EDGE_QUOTA_GATE_H
#define LUNA_EDGE_QUOTA_GATE_H

#include "base/buf.h"
#include "edge/gate.h"
#include "rpc/rpc.h"

struct config;

/* Once, before reactors run. Thread: main's. */
void quota_gate_init(const struct config *cfg);

/* The reactor's part (SLOT_EDGE). After db_attach and redis_new, which must name gate_scripts. */
void quota_gate_attach(struct reactor *r);
/* When its fibers have ended, before db_detach. */
void quota_gate_detach(struct reactor *r);
/* Flushes what was spent, on a fiber, and ends. Before reactor_stop. Thread: any. */
void quota_gate_close(struct reactor *r);

extern const struct interceptor quota_gate_interceptor;

/*
 * The work of a call turns out to cost `units` more than its method says: takes them. To be called
 * before the work. Nothing happens for a call that is not metered, or was let through because the
 * limiter is away. Suspends: may. Fails: QUOTA_SPENT, RATE_LIMITED (then what the call was charged
 * before is given back at its end), CACHE_UNAVAILABLE.
 */
enum status quota_gate_measure(struct call *call, int64_t units) WARN_UNUSED;

/* For those who ask themselves (Check, Reserve). */
struct quota_charge {
    int64_t account_id;
    int64_t key_id; /* 0: no rate of a key */
    int64_t cost;
    const char *method; /* static: what the usage is counted for */
    bool charge_quota;
    bool account_limits; /* the rates of the account and the key apply */
    bool dry_run;
    const struct gate_limit *limits; /* more of them, the caller's own; names in use are his */
    size_t limit_count;
};

/*
 * Decides. *ret holds the verdict: admitted, or which limit refuses; its limits are those of
 * *ret_limits, the caller's own last. Suspends: may. Fails: CACHE_UNAVAILABLE (also while the quota
 * is being settled after a loss), ACCOUNT_NOT_FOUND, DB_..., INTERNAL_ERROR.
 */
enum status quota_gate_charge(struct ctx *ctx, const struct quota_charge *in,
                              struct gate_decision *ret, const struct gate_limit **ret_limits,
                              size_t *ret_limit_count) WARN_UNUSED;

/* Gives back what a charge has taken. Suspends: may. Never fails: what is lost stays charged. */
void quota_gate_undo(struct ctx *ctx, const struct quota_charge *in,
                     const struct gate_decision *decided);

/* Brings what the account has spent to Postgres now. Suspends: may. */
enum status quota_gate_flush(struct ctx *ctx, int64_t account_id) WARN_UNUSED;

/* Records why `d` refuses: QUOTA_SPENT or RATE_LIMITED, with what was violated and when to retry.
 */
enum status quota_gate_refuse(struct ctx *ctx, int64_t account_id, int64_t cost,
                              const struct gate_decision *d, const struct gate_limit *limits);

/* The numbers of all reactors as metrics. Thread: any. */
void quota_gate_metrics(struct buf *out);

#endif
