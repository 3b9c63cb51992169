/* Connect's unary calls as GET (https://connectrpc.com/docs/protocol#unary-get-request). */
#ifndef LUNA_GATEWAY_CONNECT_GET_H
#define LUNA_GATEWAY_CONNECT_GET_H

#include "gateway/gateway.h"

/* For a path that does not answer GET otherwise. Finds the method and takes the message out of the
 * query, as the body that a POST would have; refuses a wrong one. False: it is no such call, or the
 * method has side effects. */
bool connect_get(struct exchange *x);

#endif
