/* Private to edge/: what callers are told of their limits. Suspends: never. */
#ifndef LUNA_EDGE_GATE_ANSWER_H
#define LUNA_EDGE_GATE_ANSWER_H

#include "edge/gate.h"

struct call;
struct gate_account;

/* RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10), the older X-RateLimit-*
 * of the tightest limit, and Luna-Cost, the units that the call has cost, unless the method's
 * option says just that. As headers, or as trailers of a stream whose headers were sent. Where a
 * setting leaves the older ones out, they are there only when the two lists do not say them. The
 * request's limits are those of the account's plan. */
void gate_answer_headers(struct call *call, struct gate_account *a, const struct gate_request *req,
                         const struct gate_decision *d, int64_t cost);

#endif
