/*
 * Requests of many messages: client streams from bodies of JSON texts (NDJSON, or an array), and
 * google.api.HttpBody, whose bytes go to the server as they come.
 *
 * Nothing is kept but what waits for the server's flow control; beyond, the socket is not read.
 * Path and query belong to the first message.
 *
 * Threads: the connection's and the upstream's, under the upload's lock.
 */
#ifndef LUNA_GATEWAY_UPLOAD_H
#define LUNA_GATEWAY_UPLOAD_H

#include "gateway/gateway.h"

/* True when the body of the binding's requests is bytes and not JSON. */
bool upload_takes_bytes(const struct route_binding *b);

/* Appends the message of the body's first or next bytes to `out`. */
void upload_put_bytes(const struct exchange *x, struct str bytes, bool first, struct buf *out);

/* Starts the call, before the body has come. False: the exchange is refused. */
bool upload_start(struct exchange *x);

/* For libmicrohttpd's access handler, from then on. */
enum MHD_Result upload_request(struct exchange *x, const char *data, size_t *size);

/* The answer was given in the middle of the body. */
bool upload_answered(const struct exchange *x);

/* The connection is gone: the call is cancelled unless it has ended. */
void upload_leave(struct exchange *x);

void upload_free(struct upload *u);

#endif
