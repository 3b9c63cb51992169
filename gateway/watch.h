/* Watches the clients of requests that are with the server: a client that leaves cancels its call.
 */
#ifndef LUNA_GATEWAY_WATCH_H
#define LUNA_GATEWAY_WATCH_H

#include "gateway/gateway.h"

struct watch *watch_new(void);
void watch_free(struct watch *w);

/* From when the call has started to when its connection is done with the exchange. */
void watch_add(struct watch *w, struct exchange *x);
void watch_remove(struct watch *w, struct exchange *x);

#endif
