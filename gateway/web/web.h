/*
 * The pages that the gateway serves besides the API: "/", "/docs", "/redoc", "/reference",
 * "/openapi.json" and what they load. Everything is made or embedded at start; nothing here or in
 * the pages asks another host.
 *
 * To serve a page: Content-Type, Cache-Control, ETag and, when there is one,
 * Content-Security-Policy as they stand here, and Referrer-Policy: no-referrer. A client that
 * accepts gzip gets `gzip` with Content-Encoding: gzip and `etag_gzip`, where it is not empty, and
 * others `body` with `etag`; both with Vary: Accept-Encoding. If-None-Match with either of the two
 * tags is answered 304.
 *
 * Thread: any, once made. Suspends: never.
 */
#ifndef LUNA_GATEWAY_WEB_WEB_H
#define LUNA_GATEWAY_WEB_WEB_H

#include "gateway/route.h"

struct web_page {
    struct str path;           /* "/docs" */
    const char *content_type;  /* "text/html; charset=utf-8" */
    const char *cache_control; /* "no-cache": ask again with the ETag; or immutable */
    const char *policy;        /* Content-Security-Policy; NULL: none is needed */
    const char *etag;          /* with its quotes */
    const char *etag_gzip;     /* of the compressed form */
    struct str body;
    struct str gzip; /* the same compressed; n == 0: not worth it */
};

struct web;

/* Makes the pages for the schema's services. `set` is the FileDescriptorSet with comments that the
 * schema was loaded from; all three must outlive the result. NULL: a built-in file is broken, and
 * `err` says which. Takes tens of milliseconds. */
struct web *web_new(const struct schema *s, const struct route_table *routes, struct str set,
                    enum json_emit emit, char *err, size_t err_size);
void web_free(struct web *w);

/* The page of a path without its query, with or without a slash at its end; NULL: there is none.
 * Pages answer GET and HEAD only. It lives as long as `w`. */
const struct web_page *web_find(const struct web *w, struct str path);

#endif
