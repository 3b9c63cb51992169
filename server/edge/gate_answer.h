/* Private to edge/: what callers are told of their limits. Suspends: never. */
#ifndef LUNA_EDGE_GATE_ANSWER_H
#define LUNA_EDGE_GATE_ANSWER_H

#include "edge/gate.h"

struct call;

/* RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10) and Luna-Cost: the units
 * that the call has cost. As headers, or as trailers of a stream whose headers were sent. The older
 * X-RateLimit-* of the tightest limit are among them. Brief answers hold only those that cannot be
 * told from the others and from the method's option. */
void gate_answer_headers(struct call *call, const struct gate_request *req,
                         const struct gate_decision *d, int64_t cost);

#endif
