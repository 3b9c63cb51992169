/* The interceptor that refuses a request whose fields break their rules before it is charged for.
 */
#ifndef LUNA_EDGE_CHECK_H
#define LUNA_EDGE_CHECK_H

#include "rpc/rpc.h"

extern const struct interceptor check_interceptor;

#endif
