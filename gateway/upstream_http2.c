/* libnghttp2: the frames of calls. */
#include <inttypes.h>
#include <stdio.h>

#include "gateway/json_read.h"
#include "gateway/upstream_private.h"

#define LINK_WINDOW   (8 << 20) /* of a connection; streams have their own, smaller ones */
#define STREAMS_FIRST 1000      /* that are opened before the server has said how many it takes */
#define PAIRS_MAX     48
#define OWN_PAIRS     8

/* ---- from the server ---- */

static struct upstream_call *
call_of(nghttp2_session *s, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(s, stream);
}

/* A HEADERS frame that ends the stream is the trailers, even when it is the first. */
static int
on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
          const uint8_t *value, size_t value_size, uint8_t flags, void *user)
{
    struct upstream_call *c = call_of(s, frame->hd.stream_id);
    (void)flags;
    (void)user;
    if (!c || frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    bool trailer = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    call_header(c, (struct str){(const char *)name, name_size},
                (struct str){(const char *)value, value_size}, trailer);
    return 0;
}

static int
on_data(nghttp2_session *s, uint8_t flags, int32_t stream, const uint8_t *p, size_t n, void *user)
{
    struct upstream_call *c = call_of(s, stream);
    (void)flags;
    (void)user;
    nghttp2_session_consume_connection(s, n); /* a slow stream does not hold up the others */
    if (c)
        call_take(c, p, n);
    return 0;
}

/* The server has ended its side: whatever we have not sent yet, nobody reads. */
static void
stream_ended(nghttp2_session *s, struct upstream_call *c)
{
    int32_t stream = c->stream;
    if (nghttp2_session_get_stream_local_close(s, stream) == 0) {
        nghttp2_session_set_stream_user_data(s, stream, NULL);
        nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, stream, NGHTTP2_NO_ERROR);
    }
    call_closed(c, NGHTTP2_NO_ERROR);
}

static int
on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
    struct upstream_link *link = user;
    struct upstream_call *c = NULL;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        c = call_of(s, frame->hd.stream_id);
        if (c)
            c->answered = true;
        if (c && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
            stream_ended(s, c);
        else if (c && frame->hd.type == NGHTTP2_HEADERS)
            call_head(c);
        break;
    case NGHTTP2_SETTINGS:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
            link_ready(link);
        break;
    case NGHTTP2_GOAWAY:
        link_drain(link);
        break;
    default:
        break;
    }
    return 0;
}

static int
on_close(nghttp2_session *s, int32_t stream, uint32_t error_code, void *user)
{
    struct upstream_call *c = call_of(s, stream);
    (void)user;
    if (!c)
        return 0;
    if (error_code == NGHTTP2_REFUSED_STREAM && c->code < 0)
        call_refused(c);
    else
        call_closed(c, error_code);
    return 0;
}

/* ---- to the server ---- */

static size_t
copy_out(struct upstream_call *c, uint8_t *to, size_t room)
{
    size_t n = c->prefix_left < room ? c->prefix_left : room;
    memcpy(to, c->prefix + sizeof(c->prefix) - c->prefix_left, n);
    c->prefix_left -= (uint8_t)n;
    size_t body = c->out.n < room - n ? c->out.n : room - n;
    if (body > 0) {
        memcpy(to + n, c->out.p, body);
        c->out.p += body;
        c->out.n -= body;
    }
    return n + body;
}

static ssize_t
on_read(nghttp2_session *s, int32_t stream, uint8_t *to, size_t room, uint32_t *flags,
        nghttp2_data_source *source, void *user)
{
    struct upstream_call *c = call_of(s, stream);
    (void)source;
    (void)user;
    if (!c)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t n = copy_out(c, to, room);
    bool all = c->out.n == 0 && c->prefix_left == 0;
    if (all && c->sending) {
        c->sent = true;
        call_notice(c);
    }
    if (all && c->half_close)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (n == 0)
        return NGHTTP2_ERR_DEFERRED;
    return (ssize_t)n;
}

static nghttp2_nv
pair(struct str name, struct str value, uint8_t flags)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p, name.n,
                        value.n, flags};
}

/* Names and values that come again fill HPACK's table; those of one request, and secrets, stay out
 * of it. */
static bool
is_kept_out(struct str name)
{
    static const char *const names[] = {"x-request-id",   "traceparent",     "authorization",
                                        "x-api-key",      "idempotency-key", "last-event-id",
                                        "x-forwarded-for"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(name, str_of(names[i])))
            return true;
    return false;
}

/* At most eight digits, and a unit. */
static struct str
timeout_text(nsec_t deadline, char *to, size_t size)
{
    nsec_t left = deadline - clock_now();
    int64_t us = left <= 0 ? 1 : (left + 999) / 1000;
    int n = us < 100000000      ? snprintf(to, size, "%" PRId64 "u", us)
            : us < 100000000000 ? snprintf(to, size, "%" PRId64 "m", us / 1000)
                                : snprintf(to, size, "%" PRId64 "S", us / 1000000 % 100000000);
    return (struct str){to, (size_t)n};
}

static struct str
base64_of(struct upstream_call *c, struct str bytes)
{
    struct buf text;
    buf_init(&text, UPSTREAM_METADATA_MAX);
    json_base64_encode(bytes, &text);
    struct str kept = {arena_strndup(&c->arena, text.data ? text.data : "", text.len), text.len};
    buf_fini(&text);
    return kept;
}

static size_t
put_metadata(struct upstream_call *c, nghttp2_nv *to, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < c->metadata_count && n < room; i++) {
        struct str name = c->metadata[i].key, value = c->metadata[i].value;
        if (name.n > 4 && memcmp(name.p + name.n - 4, "-bin", 4) == 0)
            value = base64_of(c, value);
        to[n++] = pair(name, value, is_kept_out(name) ? NGHTTP2_NV_FLAG_NO_INDEX : 0);
    }
    return n;
}

bool
http2_submit(struct upstream_link *link, struct upstream_call *c)
{
    nghttp2_nv pairs[PAIRS_MAX];
    nghttp2_data_provider provider = {.read_callback = on_read};
    char timeout[24];
    size_t n = 0;
    pairs[n++] = pair(STR(":method"), STR("POST"), 0);
    pairs[n++] = pair(STR(":scheme"), link->tls ? STR("https") : STR("http"), 0);
    pairs[n++] = pair(STR(":path"), str_of(c->path), 0);
    pairs[n++] = pair(STR(":authority"), str_of(link->authority), 0);
    pairs[n++] = pair(STR("te"), STR("trailers"), 0);
    pairs[n++] = pair(STR("content-type"), STR("application/grpc"), 0);
    pairs[n++] = pair(STR("user-agent"), STR("luna-gateway/" LUNA_VERSION), 0);
    if (c->deadline != NSEC_NEVER)
        pairs[n++] = pair(STR("grpc-timeout"), timeout_text(c->deadline, timeout, sizeof(timeout)),
                          NGHTTP2_NV_FLAG_NO_INDEX);
    n += put_metadata(c, pairs + n, PAIRS_MAX - OWN_PAIRS);
    int32_t stream = nghttp2_submit_request(link->session, NULL, pairs, n, &provider, c);
    if (stream < 0) {
        link_drain(link);
        return false;
    }
    c->stream = stream;
    c->link = link;
    list_push(&link->calls, &c->node);
    link->call_count++;
    link->lane->stirred = true;
    return true;
}

void
http2_resume(struct upstream_call *c)
{
    if (c->link && c->stream > 0)
        nghttp2_session_resume_data(c->link->session, c->stream);
}

void
http2_reset(struct upstream_call *c, uint32_t error_code)
{
    if (!c->link || c->stream == 0)
        return;
    nghttp2_session_set_stream_user_data(c->link->session, c->stream, NULL);
    nghttp2_submit_rst_stream(c->link->session, NGHTTP2_FLAG_NONE, c->stream, error_code);
    c->stream = 0;
}

void
http2_consume(struct upstream_call *c, size_t n)
{
    c->owed -= n;
    if (c->link && c->stream > 0)
        nghttp2_session_consume_stream(c->link->session, c->stream, n);
}

/* ---- sessions ---- */

nghttp2_session_callbacks *
http2_callbacks_new(void)
{
    nghttp2_session_callbacks *all;
    int failed = nghttp2_session_callbacks_new(&all);
    ASSERT(failed == 0);
    nghttp2_session_callbacks_set_on_header_callback(all, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(all, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(all, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(all, on_close);
    return all;
}

nghttp2_option *
http2_options_new(void)
{
    nghttp2_option *o;
    int failed = nghttp2_option_new(&o);
    ASSERT(failed == 0);
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_peer_max_concurrent_streams(o, STREAMS_FIRST);
    return o;
}

void
http2_start(struct upstream_link *link)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, UPSTREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UPSTREAM_METADATA_MAX},
    };
    struct upstream *u = link->lane->upstream;
    int failed = nghttp2_session_client_new2(&link->session, u->callbacks, link, u->options);
    ASSERT(failed == 0);
    nghttp2_submit_settings(link->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings));
    nghttp2_session_set_local_window_size(link->session, NGHTTP2_FLAG_NONE, 0, LINK_WINDOW);
}
