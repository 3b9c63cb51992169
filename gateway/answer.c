/* The answer: body, headers, compression. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/frames.h"
#include "gateway/httpd_errors.h"
#include "gateway/passed.h"
#include "gateway/ratelimit.h"
#include "gateway/stream.h"

#define COMPRESS_FROM 1024
#define PROBLEM_MAX   (64 << 10)
#define JSON_TYPE     "application/json"

void
answer_header(struct exchange *x, const char *name, const char *value)
{
    if (x->header_count < EXCHANGE_HEADERS_MAX)
        x->headers[x->header_count++] = (struct answer_header){name, value};
}

void
answer_refuse(struct exchange *x, enum reason r, const char *field, const char *fmt, ...)
{
    const char *text = NULL;
    if (fmt) {
        va_list ap;
        va_start(ap, fmt);
        text = arena_vprintf(&x->arena, fmt, ap);
        va_end(ap);
    }
    problem_make(&x->problem, &x->arena, r, field, text ? "%s" : NULL, text);
    x->refused = true;
}

void
answer_problem(struct exchange *x)
{
    const struct problem *p = &x->problem;
    x->http = p->http;
    x->content_type = JSON_TYPE;
    x->stage = EXCHANGE_DONE;
    buf_fini(&x->out);
    buf_init(&x->out, PROBLEM_MAX);
    if (frames_used(x)) {
        x->http = MHD_HTTP_OK;
        x->content_type = frames_content_type(x);
        frames_put_end(x, p, &x->out);
    } else if (x->protocol == PROTOCOL_REST)
        problem_write(p, &x->gw->builtin, &x->out);
    else
        problem_write_connect(p, &x->out);
    answer_header(x, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"); /* some codes are kept without */
    if (p->retry_after_s > 0)
        answer_header(x, "Retry-After",
                      arena_printf(&x->arena, "%lld", (long long)p->retry_after_s));
    if (p->http == 401)
        answer_header(x, "WWW-Authenticate", "Bearer realm=\"luna\"");
    if (p->http == 405)
        answer_header(x, "Allow", x->match.allow_text);
    if (p->http == 415)
        answer_header(x, MHD_HTTP_HEADER_ACCEPT_ENCODING, "gzip, identity");
}

void
answer_text(struct exchange *x, int http, const char *content_type, struct str text)
{
    x->http = http;
    x->content_type = content_type;
    x->borrowed = true;
    x->out = (struct buf){.data = (char *)(uintptr_t)text.p, .len = text.n};
    x->stage = EXCHANGE_DONE;
}

/* ---- what the server said ---- */

static const char *
copy_value(struct exchange *x, struct str v)
{
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] < 0x20 || v.p[i] > 0x7e)
            return "";
    return arena_strndup(&x->arena, v.p, v.n);
}

void
answer_status(struct exchange *x)
{
    struct problem *p = &x->problem;
    p->status = x->call.status;
    p->message = x->call.message;
    p->details = upstream_find(&x->call.trailers, STR("grpc-status-details-bin"));
    if (p->status == UNAVAILABLE && !p->details.p && !x->call.answered) {
        /* No answer at all: the text speaks of our side of the network. */
        answer_refuse(x, REASON_SERVER_UNREACHABLE, NULL, NULL);
        return;
    }
    if (p->status == DEADLINE_EXCEEDED && !p->details.p) {
        answer_refuse(x, REASON_DEADLINE_PASSED, NULL, NULL);
        return;
    }
    if (!p->details.p)
        p->details = STR("");
    problem_settle(p);
}

bool
answer_encode(struct exchange *x, struct str wire, struct buf *out, struct json_error *err)
{
    const struct route_binding *b = x->match.binding;
    const struct json_style style = {.emit = x->gw->emit, .names = b->names, .lenient_any = true};
    if (b->response_body)
        return json_encode_field(&x->gw->schema, b->method->output, b->response_body, wire, &style,
                                 out, err);
    return json_encode(&x->gw->schema, b->method->output, wire, &style, out, err);
}

bool
answer_is_bytes(const struct route_binding *b)
{
    return strcmp(b->method->output->full_name, "google.api.HttpBody") == 0;
}

bool
answer_http_body(struct exchange *x, struct str wire, struct buf *out)
{
    struct str data = schema_option_bytes(wire, 2);
    if (!x->content_type) {
        struct str type = schema_option_bytes(wire, 1);
        x->content_type = type.n > 0 ? copy_value(x, type) : "application/octet-stream";
    }
    buf_put(out, data.p, data.n);
    return !out->overflow;
}

/* 2xx, and 304: nothing that could disguise a failure. */
static void
take_code(struct exchange *x, struct str v)
{
    int64_t code;
    if (str_to_i64(v, &code) && x->call.status == OK && !frames_used(x) &&
        ((code >= 200 && code <= 206) || code == 304))
        x->http = (int)code;
}

static void
show(struct exchange *x, const struct upstream_metadata *from, const char *key, const char *name)
{
    struct str v = upstream_find(from, str_of(key));
    if (v.p)
        answer_header(x, name, copy_value(x, v));
}

static void
show_number(struct exchange *x, const char *name, int64_t n)
{
    answer_header(x, name, arena_printf(&x->arena, "%lld", (long long)n));
}

/* As the server sends them, or else from the newer fields. */
static void
show_older_limits(struct exchange *x, const struct upstream_metadata *from)
{
    struct str policy = upstream_find(from, STR("ratelimit-policy"));
    struct str state = upstream_find(from, STR("ratelimit"));
    struct ratelimit least;
    if (upstream_find(from, STR("x-ratelimit-limit")).p || !policy.p || !state.p ||
        !ratelimit_tightest(policy, state, &least)) {
        show(x, from, "x-ratelimit-limit", "X-RateLimit-Limit");
        show(x, from, "x-ratelimit-remaining", "X-RateLimit-Remaining");
        show(x, from, "x-ratelimit-reset", "X-RateLimit-Reset");
        return;
    }
    show_number(x, "X-RateLimit-Limit", least.limit);
    show_number(x, "X-RateLimit-Remaining", least.remaining);
    show_number(x, "X-RateLimit-Reset", least.reset);
}

/* A cost that is not told is what the method's option says. */
static void
show_cost(struct exchange *x)
{
    const struct upstream_metadata *headers = &x->call.headers, *trailers = &x->call.trailers;
    const struct str name = STR("luna-cost"), limits = STR("ratelimit");
    int64_t cost = x->match.binding ? x->match.binding->method->policy.cost : 0;
    if (cost > 0 && !upstream_find(headers, name).p && !upstream_find(trailers, name).p &&
        (upstream_find(headers, limits).p || upstream_find(trailers, limits).p))
        show_number(x, "Luna-Cost", cost);
}

void
answer_metadata(struct exchange *x)
{
    static const struct {
        const char *key, *name;
    } shown[] = {{"luna-cost", "Luna-Cost"}, {"idempotency-replayed", "Idempotency-Replayed"},
                 {"etag", "ETag"},           {"location", "Location"},
                 {"link", "Link"},           {"deprecation", "Deprecation"},
                 {"sunset", "Sunset"}};
    const struct upstream_metadata *both[] = {&x->call.headers, &x->call.trailers};
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        if (both[i]->count == 0)
            continue;
        show(x, both[i], "ratelimit", "RateLimit");
        show(x, both[i], "ratelimit-policy", "RateLimit-Policy");
        show_older_limits(x, both[i]);
        for (size_t j = 0; j < ARRAY_LEN(shown); j++)
            show(x, both[i], shown[j].key, shown[j].name);
        struct str code = upstream_find(both[i], STR("x-http-code"));
        if (code.p)
            take_code(x, code);
    }
    show_cost(x);
    passed_answer(x);
}

bool
answer_queued(struct exchange *x)
{
    const struct upstream_metadata *both[] = {&x->call.trailers, &x->call.headers};
    struct str job = {0}, detail = {0};
    if (x->http != MHD_HTTP_ACCEPTED || x->protocol != PROTOCOL_REST)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        job = job.p ? job : upstream_find(both[i], STR("luna-job"));
        detail = detail.p ? detail : upstream_find(both[i], STR("luna-detail"));
    }
    if (!job.p)
        return false;
    if (!detail.p)
        detail = str_of(arena_printf(&x->arena, "the work was queued as " STR_FMT, STR_ARG(job)));
    buf_puts(&x->out, "{\"status_code\":202,\"detail\":");
    buf_put_json(&x->out, detail.p, detail.n);
    buf_puts(&x->out, ",\"job\":");
    buf_put_json(&x->out, job.p, job.n);
    buf_putc(&x->out, '}');
    x->content_type = JSON_TYPE;
    return true;
}

/* ---- compression ---- */

void
answer_compress(struct exchange *x)
{
    struct buf packed;
    if (!x->gw->cfg->gzip || frames_used(x) || x->borrowed || x->out.len < COMPRESS_FROM ||
        x->in.accepts == CODING_NONE)
        return;
    if (!coding_pack(x->in.accepts, (struct str){x->out.data, x->out.len}, &packed))
        return;
    buf_fini(&x->out);
    x->out = packed;
    x->coding = x->in.accepts;
}

/* ---- sending ---- */

static void
add(struct MHD_Response *r, const char *name, const char *value)
{
    MHD_add_response_header(r, name, value);
}

enum MHD_Result
answer_send(struct exchange *x)
{
    struct MHD_Response *r;
    if (x->streaming) {
        r = stream_response(x);
    } else if (x->borrowed) {
        r = MHD_create_response_from_buffer(x->out.len, x->out.data, MHD_RESPMEM_PERSISTENT);
    } else {
        r = MHD_create_response_from_buffer(x->out.len, x->out.data, MHD_RESPMEM_MUST_FREE);
        if (r)
            x->out.data = NULL; /* the response frees it */
    }
    if (!r)
        return MHD_NO;
    if (x->out.len > 0 || x->content_type)
        add(r, MHD_HTTP_HEADER_CONTENT_TYPE, x->content_type ? x->content_type : JSON_TYPE);
    if (x->coding != CODING_NONE)
        add(r, MHD_HTTP_HEADER_CONTENT_ENCODING, coding_name(x->coding));
    add(r, "X-Content-Type-Options", "nosniff");
    add(r, "X-Request-Id", arena_strndup(&x->arena, x->in.request_id.p, x->in.request_id.n));
    if (x->closing || atomic_load_explicit(&x->gw->draining, memory_order_relaxed))
        add(r, MHD_HTTP_HEADER_CONNECTION, "close");
    cors_headers(x);
    for (size_t i = 0; i < x->header_count; i++)
        add(r, x->headers[i].name, x->headers[i].value);
    x->stage = EXCHANGE_SENT;
    enum MHD_Result queued = httpd_queue(x->conn, (unsigned)x->http, r);
    MHD_destroy_response(r);
    return queued;
}
