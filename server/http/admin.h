/*
 * The admin port: /metrics, /healthz and /readyz over plain HTTP, for Prometheus, Kubernetes and
 * people. It has a thread of its own, so that it answers when every reactor is busy or stuck.
 *
 * GET and HEAD only (405 with Allow otherwise), 404 for other paths. At most 64 connections, each
 * closed after 10 s without a request.
 *
 * It shows no data of callers, but is not for the public: bind it to loopback or an inner network.
 */
#ifndef LUNA_HTTP_ADMIN_H
#define LUNA_HTTP_ADMIN_H

#include "base/buf.h"

struct http_admin;

struct http_admin_options {
    const char
        *address; /* "127.0.0.1:9464", "[::1]:9464", ":9464" (all), "localhost:0", "unix:/path" */

    /* Each is called on the admin thread. NULL: 404. */
    void (*metrics)(struct buf *out, void *arg);
    /* True: 200. Otherwise 503 with the line written into `why`. */
    bool (*healthy)(struct buf *why, void *arg); /* restart me when false */
    bool (*ready)(struct buf *why, void *arg);   /* send me work while true */
    void *arg;
};

/* Listens and starts its thread. NULL: `err` holds one line that names the address and what to do.
 */
struct http_admin *http_admin_start(const struct http_admin_options *opt, char *err,
                                    size_t err_size);

/* The port it listens on; 0 for a unix socket. */
int http_admin_port(const struct http_admin *a);

/* Waits for the answers under way. NULL: harmless. */
void http_admin_stop(struct http_admin *a);

#endif
