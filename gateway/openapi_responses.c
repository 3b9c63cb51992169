/* What calls answer: the message, the failures with their reasons, the headers. */
#include "base/status.h"
#include "gateway/openapi_private.h"

#define RPC "google.rpc."

bool
answer_is_kept(const struct route_binding *b, const struct method_policy *p)
{
    return b->verb == ROUTE_GET && p->cache_seconds > 0 && p->cost == 0 && !p->cost_measured &&
           !b->method->client_streaming && !b->method->server_streaming;
}

bool
method_has_http_body(const struct schema_message *m)
{
    return strcmp(m->full_name, "google.api.HttpBody") == 0;
}

/* ---- failures ---- */

enum when {
    ALWAYS,
    WITH_CREDENTIALS, /* of methods that are not public */
    WITH_BODY,
    WITH_PATH_OR_WORD, /* has a path variable, or the comment names the status */
    WITH_WORD,
    WITH_CHANGE, /* not idempotent, or the word */
};

static const struct failure {
    int http;
    const char *name;
    enum when when;
    const char *word;
    const char *text;
} failures[] = {
    {400, "BadRequest", ALWAYS, "", "The request could not be read."},
    {401, "NoCredentials", WITH_CREDENTIALS, "", "Credentials are needed and none were sent."},
    {403, "NotAllowed", WITH_CREDENTIALS, "",
     "The credentials are not valid, or do not allow this."},
    {404, "NotFound", WITH_PATH_OR_WORD, "NOT_FOUND",
     "It does not exist, or belongs to another account."},
    {409, "Conflict", WITH_CHANGE, "ALREADY_EXISTS",
     "It exists already, or another change came first."},
    {412, "PreconditionFailed", WITH_WORD, "FAILED_PRECONDITION", "Its state does not allow this."},
    {413, "TooLarge", WITH_BODY, "", "The body is larger than the limit."},
    {406, "NotAcceptable", ALWAYS, "", "Accept takes none of the types of the answer."},
    {415, "WrongContentType", WITH_BODY, "", "The body is of a type that is not read."},
    {422, "BadField", ALWAYS, "", "A field of the request is wrong; the answer names it."},
    {429, "TooManyRequests", ALWAYS, "",
     "A quota, a rate or the server's limit is reached. Nothing was done."},
    {431, "HeadersTooLarge", ALWAYS, "", "The headers are larger than the limit."},
    {500, "InternalError", ALWAYS, "", "A fault of the server."},
    {501, "NotServed", ALWAYS, "", "The server does not have this method."},
    {503, "Unavailable", ALWAYS, "", "Not now. Try again after Retry-After."},
    {504, "TimedOut", ALWAYS, "", "The deadline passed."},
    {507, "StorageFull", WITH_CHANGE, "DISK_FULL", "Storage is full."},
};

static bool
applies(const struct failure *f, const struct route_binding *b, const struct method_policy *p)
{
    bool word = f->word[0] && strstr(b->method->comment, f->word);
    switch (f->when) {
    case WITH_CREDENTIALS:
        return p->access != ACCESS_PUBLIC;
    case WITH_BODY:
        return b->body_all || b->body;
    case WITH_PATH_OR_WORD:
        return word || b->variable_count > 0;
    case WITH_WORD:
        return word;
    case WITH_CHANGE:
        return word || !p->idempotent;
    case ALWAYS:
    default:
        return true;
    }
}

static void
header_ref(struct doc *d, const char *name)
{
    doc_open(d, name, '{');
    doc_ref(d, "headers", name);
    doc_close(d, '}');
}

static void
cache_headers(struct doc *d)
{
    header_ref(d, "ETag");
    header_ref(d, "Cache-Control");
    header_ref(d, "Age");
    header_ref(d, "Cache-Status");
}

static void
limit_headers(struct doc *d)
{
    header_ref(d, "RateLimit");
    header_ref(d, "RateLimit-Policy");
    header_ref(d, "X-RateLimit-Limit");
    header_ref(d, "X-RateLimit-Remaining");
    header_ref(d, "X-RateLimit-Reset");
}

static void
open_detail(struct doc *d, const char *type)
{
    doc_open(d, NULL, '{');
    doc_text(d, "@type", arena_printf(&d->arena, "type.googleapis.com/" RPC "%s", type));
}

static void
failure_example(struct doc *d, const struct reason_info *r)
{
    bool field = strcmp(r->token, "BAD_FIELD") == 0;
    const char *text = field ? "results[3] must be finite" : r->text;
    doc_open(d, "example", '{');
    doc_int(d, "code", r->status);
    doc_text(d, "status", status_name(r->status));
    doc_text(d, "message", text);
    doc_text(d, "detail", text);
    doc_open(d, "details", '[');
    open_detail(d, "ErrorInfo");
    doc_text(d, "reason", r->token);
    doc_text(d, "domain", "luna");
    doc_raw(d, "metadata", STR("{}"));
    doc_close(d, '}');
    if (field) {
        open_detail(d, "BadRequest");
        doc_raw(
            d, "field_violations",
            STR("[{\"field\":\"results[3]\",\"description\":\"must be finite\",\"reason\":\"\"}]"));
        doc_close(d, '}');
    }
    if (r->retryable) {
        open_detail(d, "RetryInfo");
        doc_text(d, "retry_delay", "1s");
        doc_close(d, '}');
    }
    doc_close(d, ']');
    doc_close(d, '}');
}

static void
write_failure(struct doc *d, const struct failure *f)
{
    const struct reason_info *first = NULL;
    const char *text = f->text;
    for (int r = REASON_NONE + 1; r < REASON_COUNT; r++) {
        const struct reason_info *info = reason_info((enum reason)r);
        if (info->http != f->http)
            continue;
        text = arena_printf(&d->arena, "%s%s\n- `%s`: %s", text, first ? "" : "\n", info->token,
                            info->text);
        first = first ? first : info;
    }
    doc_open(d, f->name, '{');
    doc_text(d, "description", text);
    doc_open(d, "headers", '{');
    header_ref(d, "X-Request-Id");
    if (f->http == 401)
        header_ref(d, "WWW-Authenticate");
    if (f->http == 429 || f->http == 503)
        header_ref(d, "Retry-After");
    if (f->http == 429)
        limit_headers(d);
    doc_close(d, '}');
    doc_open(d, "content", '{');
    doc_open(d, "application/json", '{');
    doc_raw(d, "schema", STR("{\"$ref\":\"#/components/schemas/LunaError\"}"));
    if (first)
        failure_example(d, first);
    doc_close(d, '}');
    doc_close(d, '}');
    doc_close(d, '}');
}

/* ---- success ---- */

static void
answer_schema(struct doc *d, const struct route_binding *b)
{
    const struct schema_message *m = b->method->output;
    if (b->response_body)
        schema_write_field(d, "schema", m, b->response_body, b->names);
    else
        schema_write_message_ref(d, "schema", m, b->names);
}

static void
answer_examples(struct doc *d, const struct route_binding *b)
{
    bool open = false;
    for (const struct example *e = d->examples; e; e = e->next) {
        if (!example_is_of(e, b->method) || e->response.n == 0 || b->response_body)
            continue;
        if (!open)
            doc_open(d, "examples", '{');
        open = true;
        doc_open(d, arena_strndup(&d->arena, e->name.p, e->name.n), '{');
        if (e->summary.n > 0)
            doc_string(d, "summary", e->summary);
        doc_raw(d, "value", e->response);
        doc_close(d, '}');
    }
    if (open)
        doc_close(d, '}');
}

/* Elements of a stream: messages, and the failure that ends one that breaks. */
static void
stream_content(struct doc *d, const struct route_binding *b)
{
    doc_open(d, "application/x-ndjson", '{');
    doc_open(d, "schema", '{');
    doc_text(d, "description",
             "One line an element. A stream that breaks ends with the line {\"error\": ...}.");
    doc_open(d, "anyOf", '[');
    schema_write_message_ref(d, NULL, b->method->output, b->names);
    doc_raw(d, NULL,
            STR("{\"type\":\"object\",\"properties\":{\"error\":{\"$ref\":"
                "\"#/components/schemas/LunaError\"}},\"required\":[\"error\"]}"));
    doc_close(d, ']');
    doc_close(d, '}');
    doc_close(d, '}');
    doc_open(d, "text/event-stream", '{');
    doc_raw(d, "schema",
            STR("{\"type\":\"string\",\"description\":\"Each event's data is one element as JSON; "
                "a stream that breaks ends with an event named error.\"}"));
    doc_close(d, '}');
}

static void
answer_content(struct doc *d, const struct route_binding *b)
{
    const struct schema_message *m = b->response_body && b->response_body->message
                                         ? b->response_body->message
                                         : b->method->output;
    doc_open(d, "content", '{');
    if (method_has_http_body(m)) {
        doc_raw(d, "*/*", STR("{\"schema\":{\"type\":\"string\",\"format\":\"binary\"}}"));
    } else if (b->method->server_streaming) {
        stream_content(d, b);
    } else {
        doc_open(d, "application/json", '{');
        answer_schema(d, b);
        answer_examples(d, b);
        doc_close(d, '}');
    }
    doc_close(d, '}');
}

static void
write_queued(struct doc *d)
{
    doc_open(d, "202", '{');
    doc_text(d, "description", "The work was queued.");
    doc_open(d, "content", '{');
    doc_raw(d, "application/json",
            STR("{\"schema\":{\"type\":\"object\",\"properties\":{\"status_code\":{\"const\":202},"
                "\"detail\":{\"type\":\"string\"},\"job\":{\"type\":\"string\"}},"
                "\"required\":[\"status_code\",\"detail\",\"job\"]}}"));
    doc_close(d, '}');
    doc_close(d, '}');
}

/* A stream both ways is refused over plain HTTP. */
static void
write_upgrade(struct doc *d)
{
    doc_open(d, "426", '{');
    doc_text(
        d, "description",
        "Over plain HTTP, always: the method is served over WebSocket, and the bodies here are "
        "its messages.");
    doc_open(d, "content", '{');
    doc_raw(d, "application/json",
            STR("{\"schema\":{\"$ref\":\"#/components/schemas/LunaError\"}}"));
    doc_close(d, '}');
    doc_close(d, '}');
}

static void
write_success(struct doc *d, const struct route_binding *b, const struct method_policy *p)
{
    const char *text = b->method->output->comment;
    doc_open(d, "200", '{');
    doc_comment(d, "description", *text ? text : "The answer.");
    doc_open(d, "headers", '{');
    header_ref(d, "X-Request-Id");
    if (p->cost > 0)
        limit_headers(d);
    if (answer_is_kept(b, p))
        cache_headers(d);
    doc_close(d, '}');
    answer_content(d, b);
    doc_close(d, '}');
}

static void
write_not_modified(struct doc *d)
{
    doc_open(d, "304", '{');
    doc_text(d, "description", "If-None-Match names the answer: the caller has it. No body.");
    doc_open(d, "headers", '{');
    header_ref(d, "X-Request-Id");
    cache_headers(d);
    doc_close(d, '}');
    doc_close(d, '}');
}

void
responses_write(struct doc *d, const struct route_binding *b, const struct method_policy *p)
{
    doc_open(d, "responses", '{');
    write_success(d, b, p);
    if (answer_is_kept(b, p))
        write_not_modified(d);
    if (b->method->client_streaming && b->method->server_streaming)
        write_upgrade(d);
    if (strstr(b->method->comment, " 202"))
        write_queued(d);
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        if (!applies(&failures[i], b, p))
            continue;
        doc_open(d, arena_printf(&d->arena, "%d", failures[i].http), '{');
        doc_ref(d, "responses", failures[i].name);
        doc_close(d, '}');
    }
    doc_close(d, '}');
}

/* ---- components ---- */

static void
write_headers(struct doc *d)
{
    static const struct {
        const char *name, *text, *schema;
    } headers[] = {
        {"RateLimit", "What is left of each limit (IETF draft 10): `\"quota\";r=499`.",
         "{\"type\":\"string\"}"},
        {"RateLimit-Policy", "The limits that apply: `\"quota\";q=500`.", "{\"type\":\"string\"}"},
        {"X-RateLimit-Limit", "The quota in units.", "{\"type\":\"integer\"}"},
        {"X-RateLimit-Remaining", "Units that are left.", "{\"type\":\"integer\"}"},
        {"X-RateLimit-Reset", "Seconds until more are there.", "{\"type\":\"integer\"}"},
        {"Retry-After", "Seconds to wait before the next try.", "{\"type\":\"integer\"}"},
        {"WWW-Authenticate", "How to send credentials.", "{\"type\":\"string\"}"},
        {"X-Request-Id", "The request's id in the logs; as sent, or made by the gateway.",
         "{\"type\":\"string\"}"},
        {"ETag", "The answer's version, for If-None-Match.", "{\"type\":\"string\"}"},
        {"Cache-Control",
         "Who may keep the answer, for how many seconds: `private, max-age=60`; `no-store`: "
         "nobody.",
         "{\"type\":\"string\"}"},
        {"Age", "Seconds since the server gave this answer, when it was kept.",
         "{\"type\":\"integer\"}"},
        {"Cache-Status", "Where the answer is from (RFC 9211): `luna-gateway; hit`.",
         "{\"type\":\"string\"}"},
    };
    doc_open(d, "headers", '{');
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        doc_open(d, headers[i].name, '{');
        doc_text(d, "description", headers[i].text);
        doc_raw(d, "schema", str_of(headers[i].schema));
        doc_close(d, '}');
    }
    doc_close(d, '}');
}

static void
write_security(struct doc *d)
{
    static const char anonymous[] = "Servers that name an anonymous account take calls without.";
    doc_open(d, "securitySchemes", '{');
    doc_open(d, "bearer", '{');
    doc_text(d, "type", "http");
    doc_text(d, "scheme", "bearer");
    doc_text(d, "description",
             arena_printf(&d->arena, "An API key or a JWT (RS256, ES256). %s", anonymous));
    doc_close(d, '}');
    doc_open(d, "api_key", '{');
    doc_text(d, "type", "apiKey");
    doc_text(d, "in", "header");
    doc_text(d, "name", "x-api-key");
    doc_text(d, "description",
             arena_printf(&d->arena, "An API key: luna_, 32 hexadecimal digits, _, a checksum. %s",
                          anonymous));
    doc_close(d, '}');
    doc_close(d, '}');
}

void
responses_write_components(struct doc *d)
{
    doc_open(d, "responses", '{');
    for (size_t i = 0; i < ARRAY_LEN(failures); i++)
        write_failure(d, &failures[i]);
    doc_close(d, '}');
    write_headers(d);
    write_security(d);
}
