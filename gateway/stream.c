/*
 * Server streams: one JSON object a line (NDJSON), events for EventSource (SSE), or the bytes of
 * google.api.HttpBody as they come.
 *
 * Headers wait for the first message, so that an early failure has its own HTTP status. Behind them
 * a failure is the last element. What the client has not taken yet is bounded: beyond, the server
 * is not asked for more, and gRPC's flow control holds it back.
 */
#include "gateway/stream.h"
#include "gateway/frames.h"

#include <pthread.h>
#include <stdlib.h>

#define PENDING_ENOUGH (64 << 10) /* bytes for the client, from which on no more is asked for */
#define BLOCK_BYTES    256        /* for HTTP/1.0; chunks are made where they are sent from */

enum stream_format { FORMAT_NDJSON, FORMAT_SSE, FORMAT_BYTES, FORMAT_FRAMES };

struct stream {
    pthread_mutex_t lock;
    struct exchange *x;
    enum stream_format format;
    struct buf pending; /* for the client, from `taken` on */
    size_t taken;
    nsec_t last;     /* when something was pending last */
    bool suspended;  /* the connection is */
    bool answered;   /* the HTTP answer has begun, or is about to */
    bool ended;      /* nothing more will come */
    bool broken;     /* and the connection must show it */
    bool wants_next; /* the next message was not asked for yet */
    bool gone;       /* the connection is */
};

/* With the lock held. */
static void
wake(struct stream *s)
{
    if (!s->suspended || s->gone)
        return;
    s->suspended = false;
    http_resume(s->x);
}

static void
begin_answer(struct stream *s)
{
    struct exchange *x = s->x;
    if (s->answered)
        return;
    s->answered = true;
    x->streaming = true;
    x->http = MHD_HTTP_OK;
    if (s->format == FORMAT_SSE)
        x->content_type = "text/event-stream";
    else if (s->format == FORMAT_NDJSON)
        x->content_type = "application/x-ndjson";
    else if (s->format == FORMAT_FRAMES)
        x->content_type = frames_content_type(x);
    answer_metadata(x);
    answer_header(x, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    answer_header(x, "X-Accel-Buffering", "no"); /* proxies of nginx's kind pass it on at once */
    x->stage = EXCHANGE_DONE;
}

/* ---- from the server ---- */

static void
put_failure(struct stream *s)
{
    struct exchange *x = s->x;
    if (s->format == FORMAT_BYTES) {
        s->broken = true;
        return;
    }
    if (s->format == FORMAT_FRAMES) {
        frames_put_end(x, &x->problem, &s->pending);
        return;
    }
    buf_puts(&s->pending, s->format == FORMAT_SSE ? "event: error\ndata: " : "{\"error\":");
    problem_write(&x->problem, &x->gw->builtin, &s->pending);
    buf_puts(&s->pending, s->format == FORMAT_SSE ? "\n\n" : "}\n");
}

static bool
put_framed(struct stream *s, struct str wire)
{
    struct exchange *x = s->x;
    struct json_error err;
    struct buf json;
    if (x->protocol != PROTOCOL_CONNECT_STREAM_JSON) {
        frames_put(x, wire, &s->pending);
        return !s->pending.overflow;
    }
    buf_init(&json, (size_t)x->gw->cfg->max_answer);
    bool put = answer_encode(x, wire, &json, &err) && !json.overflow;
    if (put)
        frames_put(x, (struct str){json.data, json.len}, &s->pending);
    buf_fini(&json);
    return put && !s->pending.overflow;
}

static bool
put_message(struct stream *s, struct str wire)
{
    struct exchange *x = s->x;
    struct json_error err;
    if (s->format == FORMAT_BYTES)
        return answer_http_body(x, wire, &s->pending);
    if (s->format == FORMAT_FRAMES)
        return put_framed(s, wire);
    if (s->format == FORMAT_SSE)
        buf_puts(&s->pending, "data: ");
    bool put = answer_encode(x, wire, &s->pending, &err);
    buf_puts(&s->pending, s->format == FORMAT_SSE ? "\n\n" : "\n");
    return put && !s->pending.overflow;
}

static void
on_message(struct upstream_call *c, struct str message)
{
    struct exchange *x = container_of(c, struct exchange, call);
    struct stream *s = x->stream;
    pthread_mutex_lock(&s->lock);
    size_t before = s->pending.len;
    if (!s->ended && !put_message(s, message)) {
        /* A message that has no JSON ends the stream, in a form that the client can read. */
        s->pending.len = before;
        s->pending.overflow = false;
        answer_refuse(x, REASON_INTERNAL_ERROR, NULL, NULL);
        put_failure(s);
        s->ended = true;
    }
    begin_answer(s);
    s->last = clock_now();
    bool next = !s->gone && s->pending.len - s->taken < PENDING_ENOUGH;
    s->wants_next = !next;
    bool cancel = s->ended || s->gone;
    wake(s);
    pthread_mutex_unlock(&s->lock);
    if (cancel)
        upstream_cancel(c);
    if (next)
        upstream_next(c);
}

static void
on_end(struct upstream_call *c)
{
    struct exchange *x = container_of(c, struct exchange, call);
    struct stream *s = x->stream;
    pthread_mutex_lock(&s->lock);
    if (c->status != OK && !s->ended) {
        answer_status(x);
        if (s->answered) {
            put_failure(s);
        } else {
            answer_metadata(x);
            answer_problem(x);
            s->answered = true;
        }
    }
    if (c->status == OK && !s->ended && s->format == FORMAT_FRAMES)
        frames_put_end(x, NULL, &s->pending);
    s->ended = true;
    begin_answer(s);
    wake(s);
    pthread_mutex_unlock(&s->lock);
    exchange_unref(x);
}

/* ---- to the client ---- */

static ssize_t
on_room(void *cls, uint64_t at, char *to, size_t max)
{
    struct exchange *x = cls;
    struct stream *s = x->stream;
    bool next = false;
    ssize_t n = 0;
    (void)at;
    pthread_mutex_lock(&s->lock);
    if (s->taken < s->pending.len) {
        size_t left = s->pending.len - s->taken;
        n = (ssize_t)(left < max ? left : max);
        memcpy(to, s->pending.data + s->taken, (size_t)n);
        s->taken += (size_t)n;
        x->sent_bytes += (size_t)n;
        if (s->taken == s->pending.len) {
            buf_clear(&s->pending);
            s->taken = 0;
        }
        next = s->wants_next && s->pending.len - s->taken < PENDING_ENOUGH;
        s->wants_next &= !next;
    } else if (s->ended) {
        n = s->broken ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        s->suspended = true;
        http_suspend(x);
    }
    pthread_mutex_unlock(&s->lock);
    if (next)
        upstream_next(&x->call);
    return n;
}

struct MHD_Response *
stream_response(struct exchange *x)
{
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_room, x, NULL);
}

/* ---- life ---- */

void
stream_start(struct exchange *x, struct str message)
{
    struct gateway *gw = x->gw;
    const struct route_binding *b = x->match.binding;
    struct stream *s = calloc(1, sizeof(*s));
    ASSERT(s);
    pthread_mutex_init(&s->lock, NULL);
    s->x = x;
    s->last = clock_now();
    s->format = frames_used(x)                                                     ? FORMAT_FRAMES
                : strcmp(b->method->output->full_name, "google.api.HttpBody") == 0 ? FORMAT_BYTES
                : accepts(x->in.accept, STR("text/event-stream"))                  ? FORMAT_SSE
                                                                                   : FORMAT_NDJSON;
    buf_init(&s->pending, (size_t)gw->cfg->max_answer + 2 * PENDING_ENOUGH);
    x->stream = s;
    x->call.on_end = on_end;
    x->call.on_message = on_message;
    atomic_fetch_add(&x->refs, 1); /* the call's */
    s->suspended = true;
    http_suspend(x);
    nsec_t deadline = x->in.timeout > 0 ? clock_now() + x->in.timeout : NSEC_NEVER;
    upstream_stream(gw->upstream, &x->call, b->method->path, &message, true, x->in.forwarded,
                    x->in.forwarded_count, deadline);
}

void
stream_beat(struct exchange *x, nsec_t now)
{
    struct stream *s = x->stream;
    pthread_mutex_lock(&s->lock);
    if (s->format == FORMAT_SSE && s->answered && !s->ended && s->suspended &&
        now - s->last >= x->gw->cfg->heartbeat) {
        buf_puts(&s->pending, ":\n\n");
        s->last = now;
        wake(s);
    }
    pthread_mutex_unlock(&s->lock);
}

void
stream_leave(struct exchange *x)
{
    struct stream *s = x->stream;
    pthread_mutex_lock(&s->lock);
    s->gone = true;
    bool cancel = !s->ended;
    pthread_mutex_unlock(&s->lock);
    if (cancel)
        upstream_cancel(&x->call);
}

void
stream_free(struct stream *s)
{
    if (!s)
        return;
    buf_fini(&s->pending);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
