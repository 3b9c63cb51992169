/* Paths and operations. */
#include <ctype.h>

#include "gateway/openapi_private.h"

#define OPTION_DEPRECATED 33u /* MethodOptions.deprecated */

struct operation {
    struct operation *next;
    const struct route_binding *binding;
    const char *verb; /* "post"; "x-..." for what OpenAPI does not know */
    const char *id;
    struct path_parameter parameters[PATH_PARAMETERS_MAX];
    size_t parameter_count;
};

struct path {
    struct path *next;
    const char *text;
    const char *shape; /* with empty braces: two of one shape are one path to OpenAPI */
    struct operation *operations;
};

/* ---- collecting ---- */

static const char *
shape_of(struct doc *d, const char *path)
{
    char *shape = arena_strdup(&d->arena, path);
    size_t n = 0;
    bool inside = false;
    for (const char *p = path; *p; p++) {
        inside = inside && *p != '}';
        if (!inside)
            shape[n++] = *p;
        inside = inside || *p == '{';
    }
    shape[n] = 0;
    return shape;
}

static const char *
verb_of(struct doc *d, const struct route_binding *b)
{
    static const char *const known[] = {"get",     "put",  "post",  "delete",
                                        "options", "head", "patch", "trace"};
    if (strcmp(b->verb_name, "*") == 0)
        return "x-any-method";
    char *verb = arena_strdup(&d->arena, b->verb_name);
    for (char *p = verb; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(verb, known[i]) == 0)
            return verb;
    return arena_printf(&d->arena, "x-%s", verb);
}

static const char *
service_name(const struct schema_service *s)
{
    const char *dot = strrchr(s->full_name, '.');
    return dot ? dot + 1 : s->full_name;
}

static const char *
operation_id(struct doc *d, const struct route_binding *b, unsigned number)
{
    const char *service = service_name(b->method->service), *method = b->method->name;
    if (b->automatic && b->method->http.n > 0)
        return arena_printf(&d->arena, "%s_%s_rpc", service, method);
    if (number > 1)
        return arena_printf(&d->arena, "%s_%s_%u", service, method, number);
    return arena_printf(&d->arena, "%s_%s", service, method);
}

/* Parameters are called what the path that came first calls them. */
static void
rename_parameters(struct doc *d, struct operation *op, const char *path)
{
    for (size_t i = 0; i < op->parameter_count; i++) {
        const char *start = strchr(path, '{'), *end = start ? strchr(start, '}') : NULL;
        if (!end)
            return;
        op->parameters[i].name = arena_strndup(&d->arena, start + 1, (size_t)(end - start - 1));
        path = end;
    }
}

static void
collect(struct doc *d, struct path **all, const struct route_binding *b, unsigned number)
{
    struct operation *op = arena_new(&d->arena, struct operation);
    const char *text = path_of_binding(d, b, op->parameters, &op->parameter_count);
    if (!text)
        return;
    const char *shape = shape_of(d, text);
    struct path **at = all;
    while (*at && strcmp((*at)->shape, shape) != 0)
        at = &(*at)->next;
    if (!*at) {
        *at = arena_new(&d->arena, struct path);
        (*at)->text = text;
        (*at)->shape = shape;
    }
    op->binding = b;
    op->verb = verb_of(d, b);
    op->id = operation_id(d, b, number);
    rename_parameters(d, op, (*at)->text);
    struct operation **last = &(*at)->operations;
    for (; *last; last = &(*last)->next)
        if (strcmp((*last)->verb, op->verb) == 0)
            return; /* "**" beside "*": one path to OpenAPI; x-luna-http tells of the other */
    *last = op;
}

static bool
is_described(const struct doc *d, const struct route_binding *b)
{
    struct str package = str_of(d->options->package), name = str_of(b->method->service->full_name);
    return name.n > package.n && str_starts(name, package) && name.p[package.n] == '.' &&
           !memchr(name.p + package.n + 1, '.', name.n - package.n - 1);
}

static struct path *
collect_all(struct doc *d)
{
    struct path *all = NULL;
    for (int automatic = 0; automatic < 2; automatic++) {
        const struct schema_method *last = NULL;
        unsigned number = 0;
        for (size_t i = 0; i < d->routes->binding_count; i++) {
            const struct route_binding *b = d->routes->bindings[i];
            if (b->automatic != automatic || !is_described(d, b))
                continue;
            number = b->method == last ? number + 1 : 1;
            last = b->method;
            collect(d, &all, b, number);
            unsigned names = b->names == JSON_NAMES_CAMEL ? USED_CAMEL_NAMES : USED_PROTO_NAMES;
            schemas_mark(d, b->method->input, USED_IN | names);
            schemas_mark(d, b->method->output, USED_OUT | names);
        }
    }
    return all;
}

/* ---- the request's body ---- */

static void
body_examples(struct doc *d, const struct route_binding *b)
{
    bool open = false;
    for (const struct example *e = d->examples; e; e = e->next) {
        if (!example_is_of(e, b->method) || e->request.n == 0)
            continue;
        struct str value = b->body_all ? example_without(d, e->request, b)
                                       : example_member(d, e->request, b->body->name);
        if (!value.p)
            continue;
        if (!open)
            doc_open(d, "examples", '{');
        open = true;
        doc_open(d, arena_strndup(&d->arena, e->name.p, e->name.n), '{');
        if (e->summary.n > 0)
            doc_string(d, "summary", e->summary);
        doc_raw(d, "value", value);
        doc_close(d, '}');
    }
    if (open)
        doc_close(d, '}');
}

static void
write_body(struct doc *d, const struct route_binding *b)
{
    const struct schema_message *m =
        b->body && b->body->message ? b->body->message : b->method->input;
    if (!b->body && !b->body_all)
        return;
    doc_open(d, "requestBody", '{');
    if (m->field_count > 0)
        doc_true(d, "required");
    doc_open(d, "content", '{');
    if (method_has_http_body(m)) {
        doc_raw(d, "*/*", STR("{\"schema\":{\"type\":\"string\",\"format\":\"binary\"}}"));
    } else {
        doc_open(d, b->method->client_streaming ? "application/x-ndjson" : "application/json", '{');
        if (b->body)
            schema_write_field(d, "schema", b->method->input, b->body, b->names);
        else
            schema_write_rest(d, b);
        body_examples(d, b);
        doc_close(d, '}');
        if (b->method->client_streaming)
            doc_raw(
                d, "application/json",
                STR("{\"schema\":{\"type\":\"array\",\"description\":\"The same messages.\"}}"));
    }
    doc_close(d, '}');
    doc_close(d, '}');
}

/* ---- operations ---- */

const char *
curl_text(struct doc *d, const struct route_binding *b, const struct example *e)
{
    struct path_parameter all[PATH_PARAMETERS_MAX];
    size_t count = 0;
    const char *path = path_of_binding(d, b, all, &count), *url = "";
    for (size_t i = 0; i < count; i++) {
        const char *start = strchr(path, '{');
        struct str value = example_member(d, e->request, str_of(all[i].name));
        if (!value.p)
            value = example_member(d, e->parameters, str_of(all[i].name));
        if (value.n >= 2 && value.p[0] == '"')
            value = (struct str){value.p + 1, value.n - 2};
        url = arena_printf(&d->arena, "%s%.*s" STR_FMT, url, (int)(start - path), path,
                           STR_ARG(value));
        path = strchr(start, '}') + 1;
    }
    const char *text =
        arena_printf(&d->arena, "curl -s \"$LUNA%s%s\" -H \"x-api-key: $KEY\"", url, path);
    if (strcmp(b->verb_name, "GET") != 0 && strcmp(b->verb_name, "POST") != 0)
        text = arena_printf(&d->arena, "%s -X %s", text, b->verb_name);
    struct str body = b->body_all ? example_without(d, e->request, b)
                      : b->body   ? example_member(d, e->request, b->body->name)
                                  : STR("");
    if (body.n > 0)
        text = arena_printf(&d->arena, "%s -H 'content-type: application/json' -d '" STR_FMT "'",
                            text, STR_ARG(body));
    return text;
}

static void
write_samples(struct doc *d, const struct route_binding *b)
{
    for (const struct example *e = d->examples; e; e = e->next) {
        if (!example_is_of(e, b->method) || e->request.n == 0)
            continue;
        doc_open(d, "x-codeSamples", '[');
        doc_open(d, NULL, '{');
        doc_text(d, "lang", "Shell");
        doc_text(d, "label", "curl");
        doc_text(d, "source", curl_text(d, b, e));
        doc_close(d, '}');
        doc_close(d, ']');
        return;
    }
}

static void
write_policy(struct doc *d, const struct route_binding *b, const struct method_policy *p)
{
    static const char *const access[] = {"", "public", "device", "member", "admin"};
    doc_open(d, "security", '[');
    if (p->access != ACCESS_PUBLIC) {
        doc_raw(d, NULL, STR("{\"bearer\":[]}"));
        doc_raw(d, NULL, STR("{\"api_key\":[]}"));
    }
    doc_close(d, ']');
    if (p->access < ARRAY_LEN(access))
        doc_text(d, "x-luna-access", access[p->access]);
    if (p->access != ACCESS_PUBLIC && p->scope.n > 0) {
        doc_string(d, "x-luna-scope", p->scope);
    } else if (p->access != ACCESS_PUBLIC) {
        char *scope = arena_strdup(&d->arena, service_name(b->method->service));
        char *end = strstr(scope, "Service");
        if (end)
            *end = 0;
        for (char *c = scope; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        doc_text(d, "x-luna-scope",
                 arena_printf(&d->arena, "%s.%s", scope, p->idempotent ? "read" : "write"));
    }
    doc_int(d, "x-luna-cost", p->cost);
    if (p->cost_measured)
        doc_true(d, "x-luna-cost-measured");
    if (p->deadline_ms > 0)
        doc_int(d, "x-luna-deadline-ms", p->deadline_ms);
    if (p->idempotent)
        doc_true(d, "x-luna-idempotent");
    if (answer_is_kept(b, p)) {
        doc_int(d, "x-luna-cache-seconds", p->cache_seconds);
        doc_text(d, "x-luna-cache-scope", p->cache_public ? "public" : "private");
    }
}

static const char *
streaming_of(const struct schema_method *m)
{
    if (m->client_streaming)
        return m->server_streaming ? "both" : "client";
    return m->server_streaming ? "server" : "";
}

/* The other ways to the same method. */
static void
write_routes(struct doc *d, const struct route_binding *b)
{
    doc_text(d, "x-luna-grpc", b->method->path);
    doc_open(d, "x-luna-http", '[');
    for (size_t i = 0; i < d->routes->binding_count; i++) {
        const struct route_binding *other = d->routes->bindings[i];
        if (other->method == b->method)
            doc_text(d, NULL, arena_printf(&d->arena, "%s %s", other->verb_name, other->pattern));
    }
    doc_close(d, ']');
}

static void
write_operation(struct doc *d, const struct operation *op)
{
    const struct route_binding *b = op->binding;
    const struct method_policy *policy = &b->method->policy;
    const char *summary = doc_summary(d, b->method->comment);
    doc_open(d, op->verb, '{');
    doc_open(d, "tags", '[');
    doc_text(d, NULL, service_name(b->method->service));
    doc_close(d, ']');
    doc_text(d, "summary",
             b->automatic ? arena_printf(&d->arena, "%s (by its gRPC name)", summary) : summary);
    doc_comment(d, "description", b->method->comment);
    doc_text(d, "operationId", op->id);
    if (schema_option_number(b->method->options, OPTION_DEPRECATED))
        doc_true(d, "deprecated");
    parameters_write(d, b, op->parameters, op->parameter_count, policy);
    write_body(d, b);
    responses_write(d, b, policy);
    write_policy(d, b, policy);
    doc_text(d, "x-luna-streaming", streaming_of(b->method));
    if (b->method->client_streaming || b->method->server_streaming)
        doc_text(
            d, "x-luna-websocket",
            "A GET on this path with Upgrade: websocket, subprotocol luna.json: a text message "
            "each way is one JSON message, an empty one ends the request.");
    write_routes(d, b);
    write_samples(d, b);
    doc_close(d, '}');
}

void
paths_write(struct doc *d)
{
    doc_open(d, "paths", '{');
    for (const struct path *p = collect_all(d); p; p = p->next) {
        doc_open(d, p->text, '{');
        for (const struct operation *op = p->operations; op; op = op->next)
            write_operation(d, op);
        doc_close(d, '}');
    }
    doc_close(d, '}');
}
