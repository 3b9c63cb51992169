/* Private to quota/: plans, usage and events as messages, for the files that serve them. Suspends:
 * never. */
#ifndef LUNA_QUOTA_QUOTA_LIMITS_RPC_H
#define LUNA_QUOTA_QUOTA_LIMITS_RPC_H

#include "quota/quota_limits.h"
#include "rpc/rpc.h"

/* Of luna/v1/quota.pb-c.h, which only *_rpc.c files include. */
typedef struct Luna__V1__Plan Luna__V1__Plan;
typedef struct Luna__V1__RateLimit Luna__V1__RateLimit;
typedef struct Luna__V1__GetUsageResponse Luna__V1__GetUsageResponse;
typedef struct Luna__V1__QuotaEvent Luna__V1__QuotaEvent;

Luna__V1__Plan *quota_plan_of(struct arena *a, const struct plan *row);
/* What is wrong is noted in ctx, for quota_plan_put: it adds what it finds, and fails with all. */
void quota_plan_read(struct ctx *ctx, const Luna__V1__Plan *m, struct plan *ret);

void quota_usage_write(struct arena *a, const struct quota_usage *u,
                       Luna__V1__GetUsageResponse *resp);

Luna__V1__QuotaEvent *quota_event_of(struct arena *a, const struct quota_event *row);

/* A rate as capacity and microseconds a unit; NULL: none, both 0. Fails: BAD_FIELD,
 * with all that is wrong in it. */
enum status quota_rate_read(struct ctx *ctx, const char *field, const Luna__V1__RateLimit *m,
                            int64_t *ret_capacity, int64_t *ret_unit_us);

#endif
