/*
 * Headers that pass through: of the request to the server's metadata, and of its metadata to the
 * answer. By name as the operator lists them, or with grpc-gateway's prefixes:
 *
 *   Grpc-Metadata-X of the request is the metadata x; metadata x of the answer is Grpc-Metadata-X,
 *   and a trailer x is Grpc-Trailer-X for those who say `TE: trailers`.
 *
 * What the gateway vouches for, or reads itself, never passes: who calls and from where, the trace,
 * gRPC's own and Luna's own.
 *
 * Thread: any, once built; the exchange's loop. Suspends: never.
 */
#ifndef LUNA_GATEWAY_PASSED_H
#define LUNA_GATEWAY_PASSED_H

#include "gateway/gateway.h"

#define PASSED_MAX 16 /* headers of one request */

/* Reads the settings. NULL: one names what may not pass, and `err` says which. */
struct passed *passed_new(const struct config *cfg, char *err, size_t err_size);
void passed_free(struct passed *p);

/* Adds the request's to x->in.forwarded; refuses the exchange where they are too many or no text.
 */
void passed_request(struct exchange *x);

/* Adds the answer's, once the call has brought its metadata. */
void passed_answer(struct exchange *x);

/* ", X-A, X-B": the listed ones, for pages of other origins; "" when there are none. */
const char *passed_request_names(const struct passed *p);
const char *passed_answer_names(const struct passed *p);

#endif
