/* Messages of a WebSocket, and the call they belong to. */
#include "base/status.h"
#include "gateway/upload.h"
#include "gateway/websocket_private.h"

#define CLOSE_STATUS 4000 /* + a gRPC status: codes of private use, RFC 6455, 7.4.2 */
#define PROBLEM_MAX  (64 << 10)

/* The last message, and the close that says the same. */
static void
fail(struct websocket *ws)
{
    struct exchange *x = ws->x;
    struct buf b;
    buf_init(&b, PROBLEM_MAX);
    buf_puts(&b, "{\"error\":");
    problem_write(&x->problem, &x->gw->builtin, &b);
    buf_puts(&b, "}");
    websocket_put(ws, false, (struct str){b.data, b.len});
    buf_fini(&b);
    websocket_close(ws, CLOSE_STATUS + (unsigned)x->problem.status, status_name(x->problem.status));
    if (ws->started && !ws->over)
        upstream_cancel(&x->call);
}

static void
refuse_json(struct websocket *ws, const struct json_error *err)
{
    problem_of_json(&ws->x->problem, &ws->x->arena, err);
    fail(ws);
}

/* ---- from the server ---- */

static void
on_sent(struct upstream_call *c)
{
    struct websocket *ws = container_of(c, struct exchange, call)->websocket;
    pthread_mutex_lock(&ws->lock);
    sendq_sent(&ws->queue);
    websocket_flush(ws); /* and reads again, when it had to wait */
    pthread_mutex_unlock(&ws->lock);
}

/* Queues the answer's message; false: it has no JSON. */
static bool
put_message(struct websocket *ws, struct str wire)
{
    struct exchange *x = ws->x;
    struct json_error err;
    struct buf b;
    buf_init(&b, (size_t)x->gw->cfg->max_answer);
    bool put = ws->bytes_out ? answer_http_body(x, wire, &b) : answer_encode(x, wire, &b, &err);
    if (put && !b.overflow)
        websocket_put(ws, ws->bytes_out, (struct str){b.data, b.len});
    put = put && !b.overflow;
    buf_fini(&b);
    return put;
}

static void
on_message(struct upstream_call *c, struct str message)
{
    struct websocket *ws = container_of(c, struct exchange, call)->websocket;
    pthread_mutex_lock(&ws->lock);
    bool leave = ws->gone || ws->close_code;
    if (!leave && !put_message(ws, message)) {
        answer_refuse(ws->x, REASON_INTERNAL_ERROR, NULL, NULL);
        fail(ws);
    }
    ws->wants_next = !leave;
    websocket_flush(ws); /* asks for the next, or will when the client has taken enough */
    pthread_mutex_unlock(&ws->lock);
    if (leave)
        upstream_cancel(c);
}

static void
on_end(struct upstream_call *c)
{
    struct exchange *x = container_of(c, struct exchange, call);
    struct websocket *ws = x->websocket;
    pthread_mutex_lock(&ws->lock);
    ws->over = true;
    if (!ws->gone && !ws->close_code) {
        if (c->status == OK) {
            websocket_close(ws, WSLAY_CODE_NORMAL_CLOSURE, "");
        } else {
            answer_status(x);
            fail(ws);
        }
    }
    websocket_flush(ws);
    pthread_mutex_unlock(&ws->lock);
    exchange_unref(x);
}

/* ---- from the client ---- */

static void
start_call(struct websocket *ws, const struct str *message)
{
    struct exchange *x = ws->x;
    x->call.on_end = on_end;
    x->call.on_message = on_message;
    x->call.on_sent = on_sent;
    ws->started = true;
    ws->complete = message != NULL;
    atomic_fetch_add(&x->refs, 1); /* the call's */
    nsec_t deadline = x->in.timeout > 0 ? clock_now() + x->in.timeout : NSEC_NEVER;
    upstream_stream(x->gw->upstream, &x->call, x->match.binding->method->path, message,
                    message != NULL, x->in.forwarded, x->in.forwarded_count, deadline);
}

/* A method with one request message: it is path, query and `body`. */
static void
start_with(struct websocket *ws, struct str body)
{
    struct exchange *x = ws->x;
    struct route_input in = {.query = x->query, .body = body};
    struct json_error err;
    struct arena scratch;
    struct buf m;
    arena_init(&scratch, 0);
    buf_init(&m, (size_t)x->gw->cfg->max_body * 2);
    bool bytes = ws->bytes_in;
    if (bytes)
        upload_put_bytes(x, body, true, &m);
    if (bytes ? route_bind_path(&x->gw->routes, &x->match, &in, &scratch, &m, &err)
              : route_bind(&x->gw->routes, &x->match, &in, &scratch, &m, &err))
        start_call(ws, &(struct str){m.data, m.len});
    else
        refuse_json(ws, &err);
    buf_fini(&m);
    arena_fini(&scratch);
}

static void
send_next(struct websocket *ws, struct str message)
{
    struct exchange *x = ws->x;
    const struct route_binding *b = x->match.binding;
    const struct schema *s = &x->gw->schema;
    struct json_error err;
    struct arena scratch;
    struct buf m;
    bool ok = true;
    arena_init(&scratch, 0);
    buf_init(&m, (size_t)x->gw->cfg->max_body * 2);
    if (ws->bytes_in)
        upload_put_bytes(x, message, !ws->begun, &m);
    else if (b->body)
        ok = json_decode_field(s, b->body, message, &scratch, &m, &err);
    else
        ok = json_decode(s, b->method->input, message, &scratch, &m, &err);
    if (ok && !ws->begun)
        buf_put(&m, ws->prefix.data, ws->prefix.len);
    if (!ok) {
        refuse_json(ws, &err);
    } else if (!sendq_put(&ws->queue, (struct str){m.data, m.len})) {
        answer_refuse(x, REASON_TOO_LARGE, NULL, NULL);
        fail(ws);
    }
    ws->begun = true;
    buf_fini(&m);
    arena_fini(&scratch);
}

void
websocket_begin(struct websocket *ws)
{
    struct exchange *x = ws->x;
    const struct route_binding *b = x->match.binding;
    struct route_input in = {.query = x->query};
    struct json_error err;
    ws->bytes_out = strcmp(b->method->output->full_name, "google.api.HttpBody") == 0;
    if (!b->method->client_streaming) {
        if (!b->body && !b->body_all)
            start_with(ws, STR(""));
    } else if (route_bind_path(&x->gw->routes, &x->match, &in, &x->arena, &ws->prefix, &err)) {
        start_call(ws, NULL);
    } else {
        refuse_json(ws, &err);
    }
}

void
websocket_take(struct websocket *ws, bool binary, struct str message)
{
    struct exchange *x = ws->x;
    bool end = !binary && message.n == 0;
    bool many = x->match.binding->method->client_streaming;
    if (binary != ws->bytes_in && !end) {
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "messages of this method are %s",
                      ws->bytes_in ? "binary" : "text");
        fail(ws);
    } else if (ws->complete && !end) {
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "the request is complete already");
        fail(ws);
    } else if (!many && !ws->started) {
        start_with(ws, message);
    } else if (!end) {
        send_next(ws, message);
    } else if (many && !ws->complete) {
        ws->complete = true;
        sendq_close(&ws->queue);
    }
}
