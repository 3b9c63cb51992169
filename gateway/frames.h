/*
 * Protocols whose bodies are frames, for generated clients: gRPC-Web, binary and as base64 text
 * (grpc/grpc's PROTOCOL-WEB.md), and the streams of Connect
 * (https://connectrpc.com/docs/protocol). One flag byte, four of length, the message; the last
 * frame says how the call ended, and the HTTP status is 200 whatever it says.
 *
 * Compressed frames are refused. Streams of the caller are not served: browsers have none.
 *
 * Thread: any; no state but the exchange. Suspends: never.
 */
#ifndef LUNA_GATEWAY_FRAMES_H
#define LUNA_GATEWAY_FRAMES_H

#include "gateway/gateway.h"

/* The protocol that a content type on a method's own path names; false: none of these. */
bool frames_protocol(struct str content_type, enum exchange_protocol *ret);

/* True when the exchange speaks one of them. */
static inline bool
frames_used(const struct exchange *x)
{
    return x->protocol >= PROTOCOL_FIRST_FRAMED;
}

const char *frames_content_type(const struct exchange *x);

/* Finds the one message of the body; false: refused. */
bool frames_take(struct exchange *x, struct str *ret_message);

/* Appends a message of the answer. */
void frames_put(const struct exchange *x, struct str message, struct buf *out);

/* Appends the last frame. `p` is NULL when the call went well. */
void frames_put_end(struct exchange *x, const struct problem *p, struct buf *out);

#endif
