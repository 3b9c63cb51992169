/* Private to quota/: API keys as messages, and the updates that a mask limits. */
#ifndef LUNA_QUOTA_QUOTA_UPDATE_RPC_H
#define LUNA_QUOTA_QUOTA_UPDATE_RPC_H

#include "quota/quota.h"
#include "rpc/rpc.h"

/* Of luna/v1/quota.pb-c.h, which only *_rpc.c files include. */
typedef struct Luna__V1__ApiKey Luna__V1__ApiKey;
typedef struct Luna__V1__Plan Luna__V1__Plan;
typedef struct Luna__V1__UpdateApiKeyRequest Luna__V1__UpdateApiKeyRequest;
typedef struct Luna__V1__UpdatePlanRequest Luna__V1__UpdatePlanRequest;

Luna__V1__ApiKey *quota_api_key_of(struct arena *a, const struct api_key *row);

/* What the caller has read: `etag`, the field called `field`, or else the header If-Match. *ret 0:
 * he does not say. Fails: BAD_FIELD. */
enum status quota_etag_read(struct call *call, const char *field, const char *etag,
                            usec_t *ret) WARN_UNUSED;

/* Each in one transaction: the row as it is, with what the mask names from the request. Suspends:
 * may. Fails: BAD_FIELD, CHANGED_MEANWHILE, API_KEY_NOT_FOUND or PLAN_NOT_FOUND, PLAN_EXISTS. */
enum status quota_update_api_key(struct call *call, const Luna__V1__UpdateApiKeyRequest *req,
                                 Luna__V1__ApiKey **ret) WARN_UNUSED;
enum status quota_update_plan(struct call *call, const Luna__V1__UpdatePlanRequest *req,
                              Luna__V1__Plan **ret) WARN_UNUSED;

#endif
