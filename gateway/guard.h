/*
 * What libmicrohttpd does not see of a connection.
 *
 * Requests that dawdle: its own timeout begins anew with each byte, so that a client which sends
 * one now and then holds a connection for ever. A thread looks once a second at what the kernel has
 * received for each connection between its requests, and at how long the body of a request takes.
 * Bodies that are streamed to the server are not timed.
 *
 * Clients that leave: it does not look at a connection that waits for a server, and overlooks an
 * end that comes together with the last bytes. The loop of the connection is told by the kernel.
 * A client that has closed its sending side counts as one that has left: the two look the same. One
 * that has closed nothing, and is gone, is found by TCP's keepalive (guard_listener).
 */
#ifndef LUNA_GATEWAY_GUARD_H
#define LUNA_GATEWAY_GUARD_H

#include <microhttpd.h>

#include "gateway/upstream.h"

struct guard;
struct guarded;

/* Sets what connections inherit from the socket that they are accepted of: those that are silent
 * are asked whether they are there, and closed after twice that time. */
void guard_listener(int fd, nsec_t silent);

/* `limit`: for the headers, and for a body of no length; a body has a second more for each 32 KiB.
 */
struct guard *guard_new(nsec_t limit, struct loop *const *loops);
void guard_free(struct guard *g); /* NULL: harmless */

/* MHD_OPTION_NOTIFY_CONNECTION, with the guard. */
void guard_on_connection(void *guard, struct MHD_Connection *conn, void **socket_context,
                         enum MHD_ConnectionNotificationCode code);

struct guarded *guard_of(struct MHD_Connection *conn);

/* Open connections of all loops, from any thread. (libmicrohttpd, when it is asked, first cleans up
 * on the thread that asks, whose daemon it may not be.) */
unsigned guard_connections(const struct guard *g);

/* The address at the other end as text; empty: it has none. */
const char *guard_peer(const struct guarded *c);
int guard_fd(const struct guarded *c);

/* The request line is there, and everything must be by `until`, and later for a body of some bytes.
 * Thread: the connection's. */
void guard_reading(struct guarded *c, nsec_t until, int64_t body_bytes);
void guard_read(struct guarded *c); /* the request is, or is not timed any more */
void guard_idle(struct guarded *c); /* its answer is sent; there is no call any more */

/* The request is with the server: the call is cancelled when its client leaves. */
void guard_calling(struct guarded *c, struct upstream_call *call);

/* True when nothing has come of the client's kernel for that long, though it had to say what it has
 * received: keepalive does not ask then. */
bool guard_vanished(const struct guarded *c, nsec_t silent);

/* Runs `ready` once, on the loop, when the socket takes more; NULL: not any more. For whoever
 * writes to it behind libmicrohttpd's back. */
void guard_when_writable(struct guarded *c, void (*ready)(void *arg), void *arg);

/* Closes the connections whose writers wait for their sockets: they are called. From any thread. */
void guard_cut_slow(struct guard *g);

#endif
