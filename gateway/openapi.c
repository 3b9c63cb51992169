#include "gateway/openapi.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/openapi_private.h"

#define DOCUMENT_MAX (64 << 20)

struct openapi {
    struct buf json;
};

static const char introduction[] =
    "Luna filters and keeps observations. Every method is served over gRPC and over REST; this\n"
    "document is made from the same `.proto` files as the server, when the gateway starts.\n"
    "\n"
    "**Who is calling.** Send `x-api-key: <API key>` or `authorization: Bearer <API key or JWT>`.\n"
    "\n"
    "**Names.** Field names are written as they stand here; on input `snake_case` and\n"
    "`lowerCamelCase` are both read, and a single value is read where a list is expected. A field "
    "or\n"
    "a parameter that is not known is refused with its name.\n"
    "\n"
    "**Numbers.** 64-bit integers are written as numbers while they fit in 53 bits and as strings\n"
    "beyond; both are read. `NaN`, `Infinity` and `-Infinity` are strings.\n"
    "\n"
    "**Time.** RFC 3339 with any offset; also read: `2018-02-25`, and Unix seconds as a number.\n"
    "\n"
    "**Errors.** One shape on every path, `LunaError`. Messages are for people; programs look at\n"
    "`details`, whose `ErrorInfo` has a stable `reason`.\n"
    "\n"
    "**Paths.** Each method has its REST paths and `POST /package.Service/Method`, which also "
    "speaks\n"
    "the Connect protocol's unary form (`Connect-Protocol-Version: 1`, `application/json` or\n"
    "`application/proto`). A slash at the end of a path is ignored, HEAD is answered like GET.\n"
    "\n"
    "**Deadlines.** `X-Server-Timeout: 1.5` (seconds), `grpc-timeout: 100m`.\n";

static void
write_info(struct doc *d)
{
    doc_open(d, "info", '{');
    doc_text(d, "title", "Luna");
    doc_text(d, "version", d->options->version);
    doc_text(d, "summary", "One self-hosted backend for observations.");
    doc_text(d, "description", introduction);
    doc_close(d, '}');
    doc_raw(d, "servers", STR("[{\"url\":\"/\",\"description\":\"This gateway.\"}]"));
}

static bool
is_described(const struct doc *d, const struct schema_service *s)
{
    size_t n = strlen(d->options->package);
    return strncmp(s->full_name, d->options->package, n) == 0 && s->full_name[n] == '.' &&
           !strchr(s->full_name + n + 1, '.') && s->method_count > 0;
}

static void
write_tags(struct doc *d)
{
    doc_open(d, "tags", '[');
    for (size_t i = 0; i < d->schema->service_count; i++) {
        const struct schema_service *s = d->schema->services[i];
        if (!is_described(d, s))
            continue;
        doc_open(d, NULL, '{');
        doc_text(d, "name", strrchr(s->full_name, '.') + 1);
        doc_comment(d, "description", s->comment);
        doc_close(d, '}');
    }
    doc_close(d, ']');
}

static void
write_document(struct doc *d)
{
    doc_open(d, NULL, '{');
    doc_text(d, "openapi", "3.1.0");
    write_info(d);
    write_tags(d);
    paths_write(d); /* marks the schemas that are used */
    errors_mark(d);
    doc_open(d, "components", '{');
    doc_open(d, "schemas", '{');
    schemas_write(d);
    errors_write(d);
    doc_close(d, '}');
    responses_write_components(d);
    doc_close(d, '}');
    doc_close(d, '}');
}

struct openapi *
openapi_new(const struct schema *s, const struct route_table *routes,
            const struct openapi_options *options, char *err, size_t err_size)
{
    struct doc d = {.schema = s, .routes = routes, .options = options};
    struct openapi *o = NULL;
    arena_init(&d.arena, 64 << 10);
    buf_init(&d.out, DOCUMENT_MAX);
    d.message_use = arena_new_n(&d.arena, uint8_t, s->message_count + 1);
    d.enum_use = arena_new_n(&d.arena, uint8_t, s->enum_count + 1);
    if (examples_load(&d, err, err_size)) {
        oneofs_load(&d);
        write_document(&d);
        if (d.out.overflow)
            snprintf(err, err_size, "the OpenAPI document is larger than %d bytes", DOCUMENT_MAX);
        else
            o = malloc(sizeof(*o));
    }
    if (o)
        o->json = d.out;
    else
        buf_fini(&d.out);
    arena_fini(&d.arena);
    return o;
}

void
openapi_free(struct openapi *o)
{
    if (!o)
        return;
    buf_fini(&o->json);
    free(o);
}

struct str
openapi_json(const struct openapi *o)
{
    return (struct str){o->json.data, o->json.len};
}
