/* The reference page: what /docs shows, for who has no scripts and where Swagger UI was not built
 * in. */
#include "gateway/openapi_private.h"
#include "gateway/web/html.h"

static const char head[] =
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n<title>Luna API reference</title>\n"
    "<link rel=\"icon\" href=\"/assets/luna.svg\" type=\"image/svg+xml\">\n"
    "<link rel=\"stylesheet\" href=\"/assets/luna.css\">\n</head>\n<body>\n"
    "<header class=\"hero\"><img src=\"/assets/luna.svg\" alt=\"\" width=\"56\" height=\"56\">\n"
    "<div><h1>Luna API</h1><p><a href=\"/\">Start</a> · <a href=\"/openapi.json\">openapi.json</a>"
    "</p></div></header>\n<main>\n"
    "<p>In the examples <code>$LUNA</code> is this gateway's address and <code>$KEY</code> an API "
    "key.</p>\n";

static void
text(struct buf *out, const char *s)
{
    html_text(out, str_of(s));
}

static const char *
scalar_name(enum schema_type type)
{
    static const char *const names[] = {
        [TYPE_DOUBLE] = "double",  [TYPE_FLOAT] = "float",   [TYPE_INT64] = "int64",
        [TYPE_UINT64] = "uint64",  [TYPE_INT32] = "int32",   [TYPE_FIXED64] = "uint64",
        [TYPE_FIXED32] = "uint32", [TYPE_BOOL] = "bool",     [TYPE_STRING] = "string",
        [TYPE_BYTES] = "base64",   [TYPE_UINT32] = "uint32", [TYPE_SFIXED32] = "int32",
        [TYPE_SFIXED64] = "int64", [TYPE_SINT32] = "int32",  [TYPE_SINT64] = "int64",
    };
    return (size_t)type < ARRAY_LEN(names) && names[type] ? names[type] : "";
}

static void
write_value_type(struct buf *out, const struct schema_field *f)
{
    const char *name = f->message       ? f->message->full_name
                       : f->enumeration ? f->enumeration->full_name
                                        : scalar_name(f->type);
    const char *dot = strrchr(name, '.');
    text(out, dot ? dot + 1 : name);
}

static void
write_type(struct buf *out, const struct schema_field *f)
{
    if (f->map) {
        buf_puts(out, "map of ");
        write_value_type(out, &f->message->fields[1]);
    } else {
        buf_puts(out, f->repeated ? "list of " : "");
        write_value_type(out, f);
    }
}

static void
write_fields(struct doc *d, struct buf *out, const char *caption, const struct schema_message *m,
             enum json_names names)
{
    if (m->field_count == 0)
        return;
    buf_printf(out, "<table><caption>%s: ", caption);
    text(out, m->full_name);
    buf_puts(out, "</caption>\n<thead><tr><th scope=\"col\">Field</th><th scope=\"col\">Type</th>"
                  "<th scope=\"col\">Meaning</th></tr></thead>\n<tbody>\n");
    for (uint32_t i = 0; i < m->field_count; i++) {
        const struct schema_field *f = &m->fields[i];
        buf_puts(out, "<tr><td><code>");
        html_text(out, names == JSON_NAMES_CAMEL ? f->json_name : f->name);
        buf_puts(out, "</code></td><td>");
        write_type(out, f);
        buf_puts(out, "</td><td>");
        text(out, schema_field_comment(d, m, f));
        buf_puts(out, "</td></tr>\n");
    }
    buf_puts(out, "</tbody></table>\n");
}

static const struct route_binding *
write_paths(struct doc *d, struct buf *out, const struct schema_method *m)
{
    const struct route_binding *first = NULL;
    buf_puts(out, "<ul class=\"paths\">\n");
    for (int automatic = 0; automatic < 2; automatic++) {
        for (size_t i = 0; i < d->routes->binding_count; i++) {
            const struct route_binding *b = d->routes->bindings[i];
            if (b->method != m || b->automatic != automatic)
                continue;
            first = first ? first : b;
            buf_puts(out, "<li><span class=\"verb\">");
            text(out, b->verb_name);
            buf_puts(out, "</span> <code>");
            text(out, b->pattern);
            buf_puts(out, "</code></li>\n");
        }
    }
    buf_puts(out, "</ul>\n");
    return first;
}

static void
write_policy(struct buf *out, const struct schema_method *m)
{
    static const char *const access[] = {"", "Anybody may call it.", "Any valid credentials.",
                                         "Members and admins.", "Admins only."};
    const struct method_policy *p = &m->policy;
    buf_puts(out, "<p class=\"soft\">");
    if (p->access < ARRAY_LEN(access))
        text(out, access[p->access]);
    if (p->cost > 0 || p->cost_measured)
        buf_printf(out, " Costs %s%lld unit%s.", p->cost_measured ? "at least " : "",
                   (long long)p->cost, p->cost == 1 ? "" : "s");
    if (p->idempotent)
        buf_puts(out, " May be repeated.");
    if (m->client_streaming || m->server_streaming)
        buf_printf(out, " Streams %s.",
                   m->client_streaming && m->server_streaming ? "both ways"
                   : m->client_streaming                      ? "from the caller"
                                                              : "to the caller");
    buf_puts(out, "</p>\n");
}

static void
write_method(struct doc *d, struct buf *out, const struct schema_method *m)
{
    buf_printf(out, "<article>\n<h3 id=\"%s.%s\">", strrchr(m->service->full_name, '.') + 1,
               m->name);
    text(out, m->name);
    buf_puts(out, "</h3>\n");
    const struct route_binding *first = write_paths(d, out, m);
    write_policy(out, m);
    html_comment(out, str_of(m->comment));
    enum json_names names = first ? first->names : JSON_NAMES_PROTO;
    write_fields(d, out, "Request", m->input, names);
    write_fields(d, out, "Answer", m->output, names);
    for (const struct example *e = d->examples; e && first; e = e->next) {
        if (!example_is_of(e, m) || e->request.n == 0)
            continue;
        buf_puts(out, "<p>");
        html_text(out, e->summary);
        buf_puts(out, ":</p>\n<pre><code>");
        text(out, curl_text(d, first, e));
        buf_puts(out, "</code></pre>\n");
    }
    buf_puts(out, "</article>\n");
}

bool
service_is_of(const struct schema_service *s, const char *package)
{
    size_t n = strlen(package);
    return strncmp(s->full_name, package, n) == 0 && s->full_name[n] == '.' &&
           !strchr(s->full_name + n + 1, '.') && s->method_count > 0;
}

static void
write_page(struct doc *d, struct buf *out, const char *package)
{
    buf_puts(out, head);
    for (size_t i = 0; i < d->schema->service_count; i++) {
        const struct schema_service *s = d->schema->services[i];
        if (!service_is_of(s, package))
            continue;
        const char *name = strrchr(s->full_name, '.') + 1;
        buf_printf(out, "<section aria-labelledby=\"%s\">\n<h2 id=\"%s\">%s</h2>\n", name, name,
                   name);
        html_comment(out, str_of(s->comment));
        for (size_t j = 0; j < s->method_count; j++)
            write_method(d, out, &s->methods[j]);
        buf_puts(out, "</section>\n");
    }
    buf_puts(out, "</main>\n</body>\n</html>\n");
}

bool
reference_write(struct buf *out, const struct schema *s, const struct route_table *routes,
                struct str set, struct str examples, const char *package, char *err,
                size_t err_size)
{
    struct openapi_options options = {.descriptor_set = set, .examples = examples};
    struct doc d = {.schema = s, .routes = routes, .options = &options};
    arena_init(&d.arena, 64 << 10);
    bool ok = examples_load(&d, err, err_size);
    if (ok) {
        oneofs_load(&d);
        write_page(&d, out, package);
    }
    arena_fini(&d.arena);
    return ok;
}
