/* Calls with one request message; those with one answer to their end. */
#include <inttypes.h>

#include "gateway/frames.h"
#include "gateway/stream.h"
#include "gateway/upload.h"
#include "gateway/watch.h"

/* Fields of luna.v1.MethodPolicy. */
enum { POLICY_DEADLINE_MS = 4, POLICY_CACHE_SECONDS = 8 };

static int64_t
policy(const struct exchange *x, uint32_t field)
{
    struct wire_field f;
    return schema_option(x->match.binding->method->policy, field, &f) ? (int64_t)f.bits : 0;
}

/* A little more than the server's own deadline, so that its answer is the one that is seen. */
static nsec_t
deadline_of(const struct exchange *x)
{
    nsec_t most = x->gw->cfg->request_timeout;
    nsec_t own = MSEC(policy(x, POLICY_DEADLINE_MS));
    nsec_t wanted = x->in.timeout > 0 ? x->in.timeout : own > 0 ? own + SEC(1) : most;
    if (x->in.timeout > 0 && wanted > most)
        wanted = most;
    return clock_now() + wanted;
}

/* ---- the answer ---- */

static uint64_t
hash_of(struct str s)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 1099511628211u;
    return h;
}

/* Answers that may be kept carry an ETag; who has them already gets 304. */
static void
cache_headers(struct exchange *x)
{
    int64_t seconds = policy(x, POLICY_CACHE_SECONDS);
    if (seconds <= 0 || x->match.binding->verb != ROUTE_GET || x->http != 200) {
        answer_header(x, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
        return;
    }
    const char *etag = arena_printf(&x->arena, "W/\"%016" PRIx64 "\"",
                                    hash_of((struct str){x->out.data, x->out.len}));
    answer_header(x, MHD_HTTP_HEADER_ETAG, etag);
    answer_header(x, MHD_HTTP_HEADER_CACHE_CONTROL,
                  arena_printf(&x->arena, "private, max-age=%" PRId64, seconds));
    if (x->in.if_none_match && strstr(x->in.if_none_match, etag)) {
        x->http = MHD_HTTP_NOT_MODIFIED;
        buf_clear(&x->out);
    }
}

static bool
write_answer(struct exchange *x, struct str wire, struct json_error *err)
{
    const struct schema_message *m = x->match.binding->method->output;
    if (x->protocol == PROTOCOL_CONNECT_PROTO) {
        x->content_type = "application/proto";
        buf_put(&x->out, wire.p, wire.n);
        return !x->out.overflow;
    }
    if (frames_used(x)) {
        x->content_type = frames_content_type(x);
        frames_put(x, wire, &x->out);
        frames_put_end(x, NULL, &x->out);
        return !x->out.overflow;
    }
    if (strcmp(m->full_name, "google.api.HttpBody") == 0 && x->protocol == PROTOCOL_REST)
        return answer_http_body(x, wire, &x->out);
    x->content_type = "application/json";
    return answer_encode(x, wire, &x->out, err);
}

void
unary_finish(struct exchange *x, struct str wire)
{
    struct json_error err = {.failure = JSON_SYNTAX};
    x->http = MHD_HTTP_OK;
    buf_clear(&x->out);
    answer_metadata(x);
    if (x->call.status != OK) {
        answer_status(x);
        answer_problem(x);
    } else if (!write_answer(x, wire, &err)) {
        if (x->out.overflow)
            answer_refuse(x, REASON_TOO_LARGE, NULL, "the answer is larger than %lld bytes",
                          (long long)x->gw->cfg->max_answer);
        else
            answer_refuse(x, REASON_INTERNAL_ERROR, NULL, NULL);
        answer_problem(x);
    } else {
        cache_headers(x);
    }
    answer_compress(x);
}

/* On the upstream's thread, which serves many connections: the answer is written on the
 * connection's own. */
static void
on_end(struct upstream_call *c)
{
    struct exchange *x = container_of(c, struct exchange, call);
    struct gateway *gw = x->gw;
    x->stage = EXCHANGE_ENDED;
    MHD_resume_connection(x->conn); /* the exchange may be gone behind it */
    atomic_fetch_sub(&gw->suspended, 1);
}

/* ---- the request ---- */

static bool
make_message(struct exchange *x, struct buf *message)
{
    struct json_error err;
    struct str body = {x->body.data, x->body.len};
    if (frames_used(x) && !frames_take(x, &body))
        return false;
    if (x->protocol == PROTOCOL_CONNECT_PROTO ||
        (frames_used(x) && x->protocol != PROTOCOL_CONNECT_STREAM_JSON)) {
        buf_put(message, body.p, body.n);
        return true;
    }
    struct route_input in = {.query = x->query, .body = body};
    if (upload_takes_bytes(x->match.binding) && x->protocol == PROTOCOL_REST) {
        upload_put_bytes(x, body, true, message);
        if (route_bind_path(&x->gw->routes, &x->match, &in, &x->arena, message, &err))
            return true;
    } else if (route_bind(&x->gw->routes, &x->match, &in, &x->arena, message, &err)) {
        return true;
    }
    problem_of_json(&x->problem, &x->arena, &err);
    x->refused = true;
    return false;
}

static void
call_unary(struct exchange *x, struct str message)
{
    struct gateway *gw = x->gw;
    x->call.on_end = on_end;
    atomic_fetch_add(&gw->suspended, 1);
    MHD_suspend_connection(x->conn);
    upstream_unary(gw->upstream, &x->call, x->match.binding->method->path, message, x->in.forwarded,
                   x->in.forwarded_count, deadline_of(x));
}

bool
unary_admit(struct exchange *x)
{
    struct gateway *gw = x->gw;
    if (atomic_fetch_add(&gw->in_flight, 1) >= gw->cfg->max_requests) {
        atomic_fetch_sub(&gw->in_flight, 1);
        answer_refuse(x, REASON_OVERLOADED, NULL, NULL);
        return false;
    }
    buf_fini(&x->out);
    buf_init(&x->out, (size_t)gw->cfg->max_answer);
    x->counted = true;
    return true;
}

bool
unary_start(struct exchange *x)
{
    struct gateway *gw = x->gw;
    struct buf message;
    buf_init(&message, (size_t)gw->cfg->max_body * 2);
    if (!make_message(x, &message) || !unary_admit(x)) {
        buf_fini(&message);
        return false;
    }
    x->stage = EXCHANGE_WAITING;
    struct str bytes = {message.data, message.len};
    if (x->match.binding->method->server_streaming)
        stream_start(x, bytes);
    else
        call_unary(x, bytes);
    watch_add(gw->watch, x); /* this thread is the connection's: it cannot go before we return */
    buf_fini(&message);
    return true;
}
