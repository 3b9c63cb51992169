/*
 * Closes connections whose requests dawdle: libmicrohttpd's own timeout begins anew with each byte,
 * so that a client which sends one now and then holds a connection for ever.
 *
 * Looks once a second, at what the kernel has received for each connection between its requests and
 * at how long the body of a request takes. Bodies that are streamed to the server are not timed.
 */
#ifndef LUNA_GATEWAY_GUARD_H
#define LUNA_GATEWAY_GUARD_H

#include <microhttpd.h>

#include "base/clock.h"

struct guard;
struct guarded;

/* `limit`: for the headers, and for a body of no length; a body has a second more for each 32 KiB.
 */
struct guard *guard_new(nsec_t limit);
void guard_free(struct guard *g); /* NULL: harmless */

/* MHD_OPTION_NOTIFY_CONNECTION, with the guard. */
void guard_on_connection(void *guard, struct MHD_Connection *conn, void **socket_context,
                         enum MHD_ConnectionNotificationCode code);

struct guarded *guard_of(struct MHD_Connection *conn);

/* The request line is there, and everything must be by `until`, and later for a body of some bytes.
 * Thread: the connection's. */
void guard_reading(struct guarded *c, nsec_t until, int64_t body_bytes);
void guard_read(struct guarded *c); /* the request is, or is not timed any more */
void guard_idle(struct guarded *c); /* its answer is sent */

#endif
