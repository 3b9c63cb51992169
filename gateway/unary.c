/* Calls with one request message; those with one answer to their end. */
#include "gateway/cache.h"
#include "gateway/form.h"
#include "gateway/frames.h"
#include "gateway/guard.h"
#include "gateway/stream.h"
#include "gateway/upload.h"

/* Calls of idempotent methods that never reached a server are made again, as far as the budget of
 * the process goes: each call that succeeds earns a token, one that is made again costs ten, so
 * that a server in trouble sees a tenth more calls at most. */
#define AGAIN_MAX  2
#define AGAIN_WAIT SEC(1) /* for a connection to stand */
#define AGAIN_COST 10
#define TOKENS_MAX 1000

/* A little more than the server's own deadline, so that its answer is the one that is seen. */
static nsec_t
deadline_of(const struct exchange *x)
{
    nsec_t most = x->gw->cfg->request_timeout;
    nsec_t own = MSEC(x->match.binding->method->policy.deadline_ms);
    nsec_t wanted = x->in.timeout > 0 ? x->in.timeout : own > 0 ? own + SEC(1) : most;
    if (x->in.timeout > 0 && wanted > most)
        wanted = most;
    return clock_now() + wanted;
}

/* ---- the answer ---- */

static bool
write_answer(struct exchange *x, struct str wire, struct json_error *err)
{
    if (answer_queued(x))
        return true;
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
    if (answer_is_bytes(x->match.binding) && x->protocol == PROTOCOL_REST)
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
        cache_finish(x);
    }
    answer_compress(x);
}

/* ---- again ---- */

static bool
take_tokens(struct gateway *gw)
{
    int have = atomic_load(&gw->retry_tokens);
    while (have >= AGAIN_COST)
        if (atomic_compare_exchange_weak(&gw->retry_tokens, &have, have - AGAIN_COST))
            return true;
    return false;
}

static void
earn_token(struct gateway *gw)
{
    if (atomic_load_explicit(&gw->retry_tokens, memory_order_relaxed) < TOKENS_MAX)
        atomic_fetch_add_explicit(&gw->retry_tokens, 1, memory_order_relaxed);
}

/* No server has answered anything: not even that it failed. */
static bool
may_go_again(struct exchange *x)
{
    struct upstream_call *c = &x->call;
    return c->status == UNAVAILABLE && !c->answered && x->attempts < AGAIN_MAX &&
           x->match.binding->method->policy.idempotent && !atomic_load(&x->gw->draining) &&
           x->deadline > clock_now() && take_tokens(x->gw);
}

/* The answer is written when libmicrohttpd asks for it. */
static void
hand_back(struct exchange *x, enum exchange_stage stage)
{
    x->stage = stage;
    http_resume(x);
}

static void
on_ready(struct upstream_call *c)
{
    hand_back(container_of(c, struct exchange, call), EXCHANGE_AGAIN);
}

static void
on_end(struct upstream_call *c)
{
    struct exchange *x = container_of(c, struct exchange, call);
    if (c->status == OK)
        earn_token(x->gw);
    if (may_go_again(x)) {
        nsec_t until = clock_now() + AGAIN_WAIT;
        upstream_when_ready(c, until < x->deadline ? until : x->deadline, on_ready);
    } else {
        hand_back(x, EXCHANGE_ENDED);
    }
}

static void
call_unary(struct exchange *x)
{
    struct gateway *gw = x->gw;
    x->call.on_end = on_end;
    http_suspend(x);
    upstream_unary(gw->upstream, &x->call, x->match.binding->method->path,
                   (struct str){x->message.data, x->message.len}, x->in.forwarded,
                   x->in.forwarded_count, x->deadline);
    guard_calling(x->guarded, &x->call);
}

void
unary_again(struct exchange *x)
{
    x->attempts++;
    upstream_call_fini(&x->call);
    x->stage = EXCHANGE_WAITING;
    call_unary(x);
}

/* ---- the request ---- */

/* For form.h: the file of a form, which is kept as a whole body is. */
static bool
take_file(void *arg, struct str bytes, bool first)
{
    struct buf *file = arg;
    (void)first;
    buf_put(file, bytes.p, bytes.n);
    return true;
}

/* The bytes that the body is, or that a form has in it; they are appended to the message. */
static bool
put_file(struct exchange *x, struct str body, struct buf *message)
{
    struct buf file;
    if (!form_wanted(x)) {
        upload_put_bytes(x, body, true, message);
        return true;
    }
    buf_init(&file, body.n);
    struct form *form = form_new(x, take_file, &file);
    if (form && form_feed(form, body) && form_end(form))
        upload_put_bytes(x, (struct str){file.data, file.len}, true, message);
    form_free(form);
    buf_fini(&file);
    return !x->refused;
}

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
    bool file = upload_takes_bytes(x->match.binding) && x->protocol == PROTOCOL_REST;
    if (file && !put_file(x, body, message))
        return false;
    struct route_input in = {.query = x->query, .body = body};
    if (file) {
        if (route_bind_path(&x->gw->routes, &x->match, &in, &x->arena, message, &err))
            return true;
    } else if (route_bind(&x->gw->routes, &x->match, &in, &x->arena, message, &err)) {
        return true;
    }
    problem_of_json(&x->problem, &x->arena, &err);
    x->refused = true;
    return false;
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
    struct buf *message = &x->message;
    buf_init(message, (size_t)gw->cfg->max_body * 2);
    if (!request_unpack(x) || !make_message(x, message) || !unary_admit(x))
        return false;
    if (cache_look(x))
        return true;
    return !x->refused && unary_ask(x);
}

bool
unary_ask(struct exchange *x)
{
    struct buf *message = &x->message;
    x->stage = EXCHANGE_WAITING;
    if (x->match.binding->method->server_streaming) {
        stream_start(x, (struct str){message->data, message->len});
        buf_fini(message); /* it was copied, and a stream may be long */
        x->received_bytes += x->body.len;
        buf_fini(&x->body);
    } else {
        x->deadline = deadline_of(x);
        call_unary(x);
    }
    return true;
}
