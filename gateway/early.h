/* An answer in the middle of the request's body, which libmicrohttpd cannot give. */
#ifndef LUNA_GATEWAY_EARLY_H
#define LUNA_GATEWAY_EARLY_H

#include "gateway/gateway.h"

/* Sends the answer that the exchange holds and shuts the sending side: the connection can only be
 * read to its end, and closed. Nothing else may write to it meanwhile. False: not sent (TLS, or
 * larger than the socket takes at once); it has to wait for the end of the body. */
bool early_answer(struct exchange *x);

#endif
