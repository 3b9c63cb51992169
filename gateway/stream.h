/* Answers of many messages. Thread: the loop of the connection. */
#ifndef LUNA_GATEWAY_STREAM_H
#define LUNA_GATEWAY_STREAM_H

#include "gateway/gateway.h"

/* Suspends the connection and starts the call with its one request message. */
void stream_start(struct exchange *x, struct str message);

/* The answer that takes its bytes from the stream. */
struct MHD_Response *stream_response(struct exchange *x);

/* The connection is gone: the call is cancelled unless it has ended. */
void stream_leave(struct exchange *x);

void stream_free(struct stream *s);

#endif
