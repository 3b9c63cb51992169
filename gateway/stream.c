/*
 * Server streams: one JSON object a line (NDJSON), events for EventSource (SSE), or the bytes of
 * google.api.HttpBody as they come.
 *
 * Headers wait for the first message, so that an early failure has its own HTTP status. Behind them
 * a failure is the last element. What the client has not taken yet is bounded: beyond, the server
 * is not asked for more, and gRPC's flow control holds it back.
 *
 * libmicrohttpd sends the headers and what is there by then. A message that comes later would cost
 * it a resumed connection, two changes of its epoll set and a turn; so chunks are written to the
 * socket from here while it has suspended the connection, and only their end is its own again. It
 * sends all where it must: through TLS, and to HTTP/1.0.
 */
#include "gateway/stream.h"
#include "gateway/frames.h"
#include "gateway/guard.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define PENDING_ENOUGH (64 << 10) /* bytes for the client, from which on no more is asked for */
#define BLOCK_BYTES    256        /* for HTTP/1.0; chunks are made where they are sent from */
#define CHUNK_HEAD     16         /* bytes: the size of a chunk and its line's end, at most */

enum stream_format { FORMAT_NDJSON, FORMAT_SSE, FORMAT_BYTES, FORMAT_FRAMES };

struct stream {
    struct exchange *x;
    enum stream_format format;
    struct buf pending; /* for the client, from `taken` on */
    size_t taken;
    nsec_t last;     /* when something was pending last */
    nsec_t taken_at; /* when the client took something last */
    struct loop_timer beat;
    struct loop_job flush;
    bool suspended;  /* the connection is */
    bool answered;   /* the HTTP answer has begun, or is about to */
    bool direct;     /* `pending` is chunks, and written from here */
    bool blocked;    /* by the socket, which says when it takes more */
    bool ended;      /* nothing more will come */
    bool broken;     /* and the connection must show it */
    bool wants_next; /* the next message was not asked for yet */
    bool gone;       /* the connection is */
};

static struct loop *
loop_of(const struct stream *s)
{
    return s->x->gw->loops[s->x->loop];
}

static void
resume(struct stream *s)
{
    s->suspended = false;
    http_resume(s->x);
}

/* There is something for the client, or the end. */
static void
wake(struct stream *s)
{
    if (!s->suspended || s->gone)
        return;
    if (s->direct)
        loop_defer(loop_of(s), &s->flush);
    else
        resume(s);
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

/* A piece of the body begins; gives where. */
static size_t
open_piece(struct stream *s)
{
    size_t at = s->pending.len;
    if (s->direct)
        buf_reserve(&s->pending, CHUNK_HEAD);
    s->pending.len += s->direct && !s->pending.overflow ? CHUNK_HEAD : 0;
    return at;
}

/* It ends: as a chunk, when nobody else makes one of it. */
static void
close_piece(struct stream *s, size_t at)
{
    char head[CHUNK_HEAD + 1];
    size_t n = s->pending.len - at - CHUNK_HEAD;
    if (!s->direct)
        return;
    if (n == 0) { /* an empty chunk would be the end of the body */
        s->pending.len = at;
        return;
    }
    size_t head_n = (size_t)snprintf(head, sizeof(head), "%zx\r\n", n);
    char *to = s->pending.data + at;
    memcpy(to, head, head_n);
    memmove(to + head_n, to + CHUNK_HEAD, n);
    s->pending.len = at + head_n + n;
    buf_puts(&s->pending, "\r\n");
}

static void
fail(struct stream *s)
{
    if (s->format == FORMAT_BYTES) {
        s->broken = true;
        return;
    }
    size_t at = open_piece(s);
    put_failure(s);
    close_piece(s, at);
}

static size_t
untaken(const struct stream *s)
{
    return s->pending.len - s->taken;
}

/* A message that has no JSON ends the stream, in a form that the client can read. */
static void
put_or_fail(struct stream *s, struct str message)
{
    size_t at = open_piece(s);
    bool put = put_message(s, message);
    if (put)
        close_piece(s, at);
    if (put && !s->pending.overflow)
        return;
    s->pending.len = at;
    s->pending.overflow = false;
    answer_refuse(s->x, REASON_INTERNAL_ERROR, NULL, NULL);
    fail(s);
    s->ended = true;
}

static void
on_message(struct upstream_call *c, struct str message)
{
    struct stream *s = container_of(c, struct exchange, call)->stream;
    if (!s->ended)
        put_or_fail(s, message);
    begin_answer(s);
    s->last = clock_now();
    bool next = !s->gone && untaken(s) < PENDING_ENOUGH;
    s->wants_next = !next;
    wake(s);
    if (s->ended || s->gone)
        upstream_cancel(c);
    if (next)
        upstream_next(c);
}

static void
on_end(struct upstream_call *c)
{
    struct exchange *x = container_of(c, struct exchange, call);
    struct stream *s = x->stream;
    if (c->status != OK && !s->ended) {
        answer_status(x);
        if (s->answered) {
            fail(s);
        } else {
            answer_metadata(x);
            answer_problem(x);
            s->answered = true;
        }
    }
    if (c->status == OK && !s->ended && s->format == FORMAT_FRAMES) {
        size_t at = open_piece(s);
        frames_put_end(x, NULL, &s->pending);
        close_piece(s, at);
    }
    s->ended = true;
    begin_answer(s);
    wake(s);
    exchange_unref(x);
}

/* ---- to the client ---- */

static void
take(struct stream *s, size_t n)
{
    s->taken += n;
    s->taken_at = clock_now();
    s->x->sent_bytes += n;
    if (s->taken == s->pending.len) {
        buf_clear(&s->pending);
        s->taken = 0;
    }
    if (s->wants_next && untaken(s) < PENDING_ENOUGH) {
        s->wants_next = false;
        upstream_next(&s->x->call);
    }
}

/* From now on the socket is written to from here, where that can be. */
static void
become_direct(struct stream *s)
{
    const int one = 1;
    struct exchange *x = s->x;
    s->direct = x->chunks && x->guarded && !*x->gw->cfg->tls_certificate;
    if (s->direct)
        setsockopt(guard_fd(x->guarded), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static ssize_t
on_room(void *cls, uint64_t at, char *to, size_t max)
{
    struct exchange *x = cls;
    struct stream *s = x->stream;
    size_t n = untaken(s) < max ? untaken(s) : max;
    (void)at;
    if (n > 0) {
        memcpy(to, s->pending.data + s->taken, n);
        take(s, n);
        return (ssize_t)n;
    }
    if (s->ended)
        return s->broken ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    s->suspended = true;
    http_suspend(x);
    become_direct(s);
    return 0;
}

static void flush(struct stream *s);

static void
on_writable(void *arg)
{
    struct stream *s = arg;
    s->blocked = false;
    flush(s);
}

static void
flush(struct stream *s)
{
    struct guarded *to = s->x->guarded;
    while (untaken(s) > 0 && !s->blocked) {
        ssize_t n =
            send(guard_fd(to), s->pending.data + s->taken, untaken(s), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            take(s, (size_t)n);
        } else if (n < 0 && errno == EAGAIN) {
            s->blocked = true;
            guard_when_writable(to, on_writable, s);
        } else if (n == 0 || errno != EINTR) {
            take(s, untaken(s));
            s->ended = s->broken = true; /* libmicrohttpd closes it, and the call is cancelled */
        }
    }
    if (s->ended && !s->blocked)
        resume(s);
}

static void
on_flush(struct loop_job *j)
{
    struct stream *s = container_of(j, struct stream, flush);
    if (s->suspended && !s->blocked)
        flush(s);
}

struct MHD_Response *
stream_response(struct exchange *x)
{
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_room, x, NULL);
}

/* ---- silence ---- */

/* A client that takes nothing any more, or whose machine does not say that it has received. */
static bool
is_lost(const struct stream *s, nsec_t now)
{
    const struct config *cfg = s->x->gw->cfg;
    return (s->blocked && now - s->taken_at >= cfg->idle_timeout) ||
           guard_vanished(s->x->guarded, 2 * cfg->heartbeat);
}

static void
on_beat(struct loop_timer *t)
{
    struct stream *s = container_of(t, struct stream, beat);
    nsec_t now = clock_now(), every = s->x->gw->cfg->heartbeat;
    if (is_lost(s, now)) {
        upstream_cancel(&s->x->call);
        shutdown(guard_fd(s->x->guarded), SHUT_RDWR);
    } else if (s->format == FORMAT_SSE && s->answered && s->suspended && untaken(s) == 0 &&
               now - s->last >= every) {
        size_t at = open_piece(s);
        buf_puts(&s->pending, ":\n\n");
        close_piece(s, at);
        s->last = now;
        wake(s);
    }
    nsec_t next = s->last + every;
    loop_timer_set(loop_of(s), t, next > now ? next : now + every);
}

/* ---- life ---- */

void
stream_start(struct exchange *x, struct str message)
{
    struct gateway *gw = x->gw;
    const struct route_binding *b = x->match.binding;
    struct stream *s = calloc(1, sizeof(*s));
    ASSERT(s);
    s->x = x;
    s->last = s->taken_at = clock_now();
    s->format = frames_used(x)                         ? FORMAT_FRAMES
                : answer_is_bytes(b)                   ? FORMAT_BYTES
                : accept_likes_events(&x->in.accepted) ? FORMAT_SSE
                                                       : FORMAT_NDJSON;
    buf_init(&s->pending, (size_t)gw->cfg->max_answer + 2 * PENDING_ENOUGH);
    list_init(&s->flush.node);
    s->flush.run = on_flush;
    s->beat.fire = on_beat;
    loop_timer_set(loop_of(s), &s->beat, s->last + gw->cfg->heartbeat);
    x->stream = s;
    x->call.on_end = on_end;
    x->call.on_message = on_message;
    atomic_fetch_add(&x->refs, 1); /* the call's */
    s->suspended = true;
    http_suspend(x);
    nsec_t deadline = x->in.timeout > 0 ? clock_now() + x->in.timeout : NSEC_NEVER;
    upstream_stream(gw->upstream, &x->call, b->method->path, &message, true, x->in.forwarded,
                    x->in.forwarded_count, deadline);
    guard_calling(x->guarded, &x->call);
}

void
stream_leave(struct exchange *x)
{
    struct stream *s = x->stream;
    s->gone = true;
    loop_timer_stop(loop_of(s), &s->beat);
    list_remove(&s->flush.node);
    if (s->blocked)
        guard_when_writable(x->guarded, NULL, NULL);
    upstream_cancel(&x->call);
}

void
stream_free(struct stream *s)
{
    if (!s)
        return;
    buf_fini(&s->pending);
    free(s);
}
