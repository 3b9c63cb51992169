/*
 * The OpenAPI 3.1 document of a schema's methods: every route of google.api.http and
 * `POST /package.Service/Method`, component schemas, limits, errors, examples. Same schema, same
 * bytes.
 *
 * Names of components: the message's full name without "luna.v1."; operations are Service_Method,
 * Service_Method_2 for its second path, Service_Method_rpc for the path that every method has.
 * What the standard has no word for is in members that start with "x-luna-".
 *
 * Thread: any, once made. Suspends: never.
 */
#ifndef LUNA_GATEWAY_OPENAPI_H
#define LUNA_GATEWAY_OPENAPI_H

#include "gateway/route.h"

struct openapi_options {
    struct str descriptor_set; /* with comments, the one that the schema was loaded from */
    struct str examples;       /* web/examples.json; empty: none */
    const char *package;       /* services of this package are described: "luna.v1" */
    const char *version;       /* info.version */
    enum json_emit emit;       /* how answers are written */
};

struct openapi;

/* Makes the document. NULL: the examples are not of their form, and `err` says where. The schema
 * and the routes may go afterwards. */
struct openapi *openapi_new(const struct schema *s, const struct route_table *routes,
                            const struct openapi_options *options, char *err, size_t err_size);
void openapi_free(struct openapi *o);

/* UTF-8 JSON. It lives as long as `o`. */
struct str openapi_json(const struct openapi *o);

#endif
