/* Answers of many messages. Threads: the connection's and the upstream's, under the stream's lock.
 */
#ifndef LUNA_GATEWAY_STREAM_H
#define LUNA_GATEWAY_STREAM_H

#include "gateway/gateway.h"

/* Suspends the connection and starts the call with its one request message. */
void stream_start(struct exchange *x, struct str message);

/* The answer that takes its bytes from the stream. */
struct MHD_Response *stream_response(struct exchange *x);

/* Sends a silent event stream a comment when it is time. */
void stream_beat(struct exchange *x, nsec_t now);

/* The connection is gone: the call is cancelled unless it has ended. */
void stream_leave(struct exchange *x);

void stream_free(struct stream *s);

#endif
