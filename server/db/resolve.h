/*
 * The addresses of a database URL's hosts. libpq would look names up inside PQconnectPoll and block
 * the reactor for as long as the name server takes; here libuv's threads ask.
 *
 * Thread: the loop's. Private to db/.
 */
#ifndef LUNA_DB_RESOLVE_H
#define LUNA_DB_RESOLVE_H

#include <stdbool.h>
#include <uv.h>

struct resolve;

/* libpq's parameters of the same names: comma-separated, one entry an address. */
struct endpoints {
    const char *host;
    const char *hostaddr;
    const char *port;
};

/* `found` NULL: no host has an address, and `why` says why not of the last. Both are borrowed for
 * the call, and the resolve is gone after it. */
typedef void resolve_done(void *arg, const struct endpoints *found, const char *why);

/* False: `url` names no host to be looked up (also where it cannot be parsed: libpq will say so),
 * and `done` is not called. Otherwise *ret is set, and then `done` called, perhaps before this
 * returns. */
bool resolve_start(uv_loop_t *loop, const char *url, resolve_done *done, void *arg,
                   struct resolve **ret);

/* `done` will not be called. NULL is allowed. */
void resolve_cancel(struct resolve *r);

#endif
