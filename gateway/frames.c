#include "gateway/frames.h"

#include "gateway/json_read.h"

#define HEAD_BYTES 5
#define END_MAX    (64 << 10)

enum {
    FLAG_COMPRESSED = 0x01,
    FLAG_CONNECT_END = 0x02,
    FLAG_WEB_TRAILERS = 0x80,
};

static const struct {
    const char *type; /* as it is answered */
    const char *also;
    enum exchange_protocol protocol;
} types[] = {
    {"application/grpc-web+proto", "application/grpc-web", PROTOCOL_WEB},
    {"application/grpc-web-text+proto", "application/grpc-web-text", PROTOCOL_WEB_TEXT},
    {"application/connect+json", "", PROTOCOL_CONNECT_STREAM_JSON},
    {"application/connect+proto", "", PROTOCOL_CONNECT_STREAM_PROTO},
};

bool
frames_protocol(struct str content_type, enum exchange_protocol *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (!media_type_is(content_type, str_of(types[i].type)) &&
            (!types[i].also[0] || !media_type_is(content_type, str_of(types[i].also))))
            continue;
        *ret = types[i].protocol;
        return true;
    }
    return false;
}

const char *
frames_content_type(const struct exchange *x)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (types[i].protocol == x->protocol)
            return types[i].type;
    return NULL;
}

static bool
is_web(const struct exchange *x)
{
    return x->protocol == PROTOCOL_WEB || x->protocol == PROTOCOL_WEB_TEXT;
}

/* ---- the request ---- */

/* Base64, or several pieces of it with padding between them. */
static bool
decode_text(struct exchange *x)
{
    struct buf bytes;
    struct str text = str_trim((struct str){x->body.data, x->body.len});
    bool ok = true;
    buf_init(&bytes, x->body.len);
    while (text.n > 0 && ok) {
        const char *pad = memchr(text.p, '=', text.n);
        size_t n = pad ? (size_t)(pad - text.p) : text.n;
        ok = json_base64_decode((struct str){text.p, n}, &bytes);
        while (n < text.n && text.p[n] == '=')
            n++;
        text = (struct str){text.p + n, text.n - n};
    }
    buf_fini(&x->body);
    x->body = bytes;
    return ok;
}

bool
frames_take(struct exchange *x, struct str *ret_message)
{
    if (x->protocol == PROTOCOL_WEB_TEXT && x->body.len > 0 && !decode_text(x)) {
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "the body is not base64");
        return false;
    }
    const uint8_t *p = (const uint8_t *)x->body.data;
    size_t n = x->body.len;
    if (n < HEAD_BYTES) {
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "the body holds no message");
        return false;
    }
    size_t size = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (p[0] & FLAG_COMPRESSED)
        answer_refuse(x, REASON_METHOD_NOT_FOUND, NULL, "compressed messages are not read");
    else if (p[0] != 0 || size != n - HEAD_BYTES)
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "the body is not one message");
    if (x->refused)
        return false;
    *ret_message = (struct str){x->body.data + HEAD_BYTES, size};
    return true;
}

/* ---- the answer ---- */

static void
put_frame(const struct exchange *x, uint8_t flags, struct str payload, struct buf *out)
{
    uint32_t n = (uint32_t)payload.n;
    const char head[HEAD_BYTES] = {(char)flags, (char)(uint8_t)(n >> 24), (char)(uint8_t)(n >> 16),
                                   (char)(uint8_t)(n >> 8), (char)(uint8_t)n};
    if (x->protocol != PROTOCOL_WEB_TEXT) {
        buf_put(out, head, sizeof(head));
        buf_put(out, payload.p, payload.n);
        return;
    }
    struct buf whole;
    buf_init(&whole, sizeof(head) + payload.n);
    buf_put(&whole, head, sizeof(head));
    buf_put(&whole, payload.p, payload.n);
    json_base64_encode((struct str){whole.data, whole.len}, out);
    buf_fini(&whole);
}

void
frames_put(const struct exchange *x, struct str message, struct buf *out)
{
    put_frame(x, 0, message, out);
}

static bool
ends_with_bin(struct str key)
{
    return key.n > 4 && memcmp(key.p + key.n - 4, "-bin", 4) == 0;
}

/* The value of a trailer as text. */
static void
put_value(struct buf *b, struct str key, struct str value)
{
    if (ends_with_bin(key))
        json_base64_encode(value, b);
    else
        buf_put(b, value.p, value.n);
}

/* grpc-message is percent-encoded. */
static void
put_message(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] >= 0x20 && s.p[i] <= 0x7e && s.p[i] != '%')
            buf_putc(b, s.p[i]);
        else
            buf_printf(b, "%%%02X", (unsigned)(uint8_t)s.p[i]);
    }
}

static void
put_web_trailers(struct exchange *x, const struct problem *p, struct buf *b)
{
    const struct upstream_metadata *all = &x->call.trailers;
    buf_printf(b, "grpc-status: %d\r\n", p ? (int)p->status : 0);
    if (p && p->message.n > 0) {
        buf_puts(b, "grpc-message: ");
        put_message(b, p->message);
        buf_puts(b, "\r\n");
    }
    if (p && p->details.n > 0) {
        buf_puts(b, "grpc-status-details-bin: ");
        json_base64_encode(p->details, b);
        buf_puts(b, "\r\n");
    }
    for (size_t i = 0; i < all->count; i++) {
        struct str key = all->pairs[i].key;
        if (str_starts(key, STR("grpc-")))
            continue;
        buf_put(b, key.p, key.n);
        buf_puts(b, ": ");
        put_value(b, key, all->pairs[i].value);
        buf_puts(b, "\r\n");
    }
}

static void
put_connect_end(struct exchange *x, const struct problem *p, struct buf *b)
{
    const struct upstream_metadata *all = &x->call.trailers;
    buf_putc(b, '{');
    if (p) {
        buf_puts(b, "\"error\":");
        problem_write_connect(p, b);
        buf_putc(b, ',');
    }
    buf_puts(b, "\"metadata\":{");
    bool first = true;
    for (size_t i = 0; i < all->count; i++) {
        struct str key = all->pairs[i].key;
        if (str_starts(key, STR("grpc-")))
            continue;
        struct buf value;
        buf_init(&value, END_MAX);
        put_value(&value, key, all->pairs[i].value);
        if (!first)
            buf_putc(b, ',');
        first = false;
        buf_put_json(b, key.p, key.n);
        buf_puts(b, ":[");
        buf_put_json(b, value.data ? value.data : "", value.len);
        buf_putc(b, ']');
        buf_fini(&value);
    }
    buf_puts(b, "}}");
}

void
frames_put_end(struct exchange *x, const struct problem *p, struct buf *out)
{
    struct buf b;
    buf_init(&b, END_MAX);
    if (is_web(x))
        put_web_trailers(x, p, &b);
    else
        put_connect_end(x, p, &b);
    put_frame(x, is_web(x) ? FLAG_WEB_TRAILERS : FLAG_CONNECT_END, (struct str){b.data, b.len},
              out);
    buf_fini(&b);
}
