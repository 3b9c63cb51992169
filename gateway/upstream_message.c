/* What a server says, from headers to status: https://github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md.
 */
#include "gateway/json_read.h"
#include "gateway/upstream_private.h"

#define PREFIX_BYTES 5         /* a flag and the length of the message behind it */
#define KEEP_BYTES   (8 << 10) /* of a stream's empty buffer; more is given back */
#define PAIRS_FIRST  8

/* ---- messages ---- */

static size_t
length_of(const uint8_t *p)
{
    return (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | (size_t)p[4];
}

/* Checks the prefix at `p`; false: the call is over. */
static bool
check_prefix(struct upstream_call *c, const uint8_t *p)
{
    if (p[0] != 0)
        call_abandon(c, INTERNAL,
                     STR("the server sent a compressed message, which nobody asked for"));
    else if (length_of(p) > c->lane->upstream->max_message)
        call_abandon(c, RESOURCE_EXHAUSTED, STR("the server's message is larger than allowed"));
    return !c->over;
}

/* The message at the start of `n` bytes; false: it is not whole, or not right. */
static bool
find_message(struct upstream_call *c, const uint8_t *p, size_t n, struct str *ret)
{
    if (n < PREFIX_BYTES || !check_prefix(c, p) || n - PREFIX_BYTES < length_of(p))
        return false;
    *ret = (struct str){(const char *)p + PREFIX_BYTES, length_of(p)};
    return true;
}

static void
hand_on(struct upstream_call *c, struct str message)
{
    c->wants = false;
    c->on_message(c, message);
}

/* What is not needed any more goes. */
static void
shrink(struct upstream_call *c)
{
    if (c->taken == c->in.len) {
        if (c->in.cap > KEEP_BYTES)
            buf_fini(&c->in);
        else
            buf_clear(&c->in);
        c->taken = 0;
    } else if (c->taken > c->in.len / 2) {
        memmove(c->in.data, c->in.data + c->taken, c->in.len - c->taken);
        c->in.len -= c->taken;
        c->taken = 0;
    }
}

static void
finish(struct upstream_call *c)
{
    bool rest = c->unary ? false : c->in.len > c->taken;
    if (c->unary && c->in.len > 0) {
        struct str whole;
        const uint8_t *p = (const uint8_t *)c->in.data;
        rest = !find_message(c, p, c->in.len, &whole) || whole.n + PREFIX_BYTES != c->in.len;
        if (!rest)
            c->answer = whole;
    }
    if (rest && c->status == OK)
        call_end(c, INTERNAL, STR("the server's answer is not one whole message"));
    else
        call_end(c, c->status, c->message);
}

void
call_deliver(struct upstream_call *c)
{
    struct str m;
    if (c->unary || c->over)
        return;
    const uint8_t *p = (const uint8_t *)c->in.data;
    while (!c->over && c->wants && c->taken < c->in.len &&
           find_message(c, p + c->taken, c->in.len - c->taken, &m)) {
        c->taken += PREFIX_BYTES + m.n;
        hand_on(c, m);
    }
    if (c->over)
        return;
    if (c->taken > 0)
        shrink(c);
    if (c->ending && c->wants)
        finish(c);
    else if (c->wants && c->owed > 0 && c->link)
        http2_consume(c, c->owed);
}

void
call_take(struct upstream_call *c, const uint8_t *p, size_t n)
{
    struct str m;
    c->owed += n;
    /* Most messages come whole, to somebody who waits for them: they need not be kept. */
    while (!c->unary && !c->over && c->in.len == 0 && c->wants && find_message(c, p, n, &m)) {
        p += PREFIX_BYTES + m.n;
        n -= PREFIX_BYTES + m.n;
        hand_on(c, m);
    }
    if (c->over)
        return;
    if (n > 0) {
        buf_put(&c->in, p, n);
        if (c->in.overflow || (c->unary && c->in.len >= PREFIX_BYTES &&
                               !check_prefix(c, (const uint8_t *)c->in.data))) {
            call_abandon(c, RESOURCE_EXHAUSTED, STR("the server's message is larger than allowed"));
            return;
        }
    }
    if (c->unary)
        http2_consume(c, c->owed);
    else
        call_deliver(c);
}

/* ---- headers and trailers ---- */

static bool
ends_with_bin(struct str key)
{
    return key.n > 4 && memcmp(key.p + key.n - 4, "-bin", 4) == 0;
}

static void
add_pair(struct upstream_call *c, struct upstream_metadata *m, struct str name, struct str value)
{
    struct buf plain;
    buf_init(&plain, UPSTREAM_METADATA_MAX);
    bool good = true;
    if (ends_with_bin(name)) {
        good = json_base64_decode(value, &plain);
        value = (struct str){plain.data, plain.len};
    }
    if (good) {
        if (m->count % PAIRS_FIRST == 0) {
            struct upstream_pair *more =
                arena_new_n(&c->arena, struct upstream_pair, m->count + PAIRS_FIRST);
            if (m->count > 0)
                memcpy(more, m->pairs, m->count * sizeof(*more));
            m->pairs = more;
        }
        m->pairs[m->count++] = (struct upstream_pair){
            {arena_strndup(&c->arena, name.p, name.n), name.n},
            {arena_memdup(&c->arena, value.n ? value.p : "", value.n), value.n}};
    }
    buf_fini(&plain);
}

/* grpc-message is percent-encoded; what is badly encoded stays as it is. */
static struct str
decode_message(struct upstream_call *c, struct str s)
{
    char *to = arena_alloc_raw(&c->arena, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        int high = i + 2 < s.n && s.p[i] == '%' ? str_hex_digit(s.p[i + 1]) : -1;
        int low = high >= 0 ? str_hex_digit(s.p[i + 2]) : -1;
        if (low >= 0)
            i += 2;
        to[n++] = low >= 0 ? (char)(high * 16 + low) : s.p[i];
    }
    return (struct str){to, n};
}

static int
number_of(struct str s)
{
    uint64_t n;
    return str_to_u64(s, &n) && n < 1000 ? (int)n : 1000;
}

/* gRPC's own, which callers do not see. */
static bool
take_own(struct upstream_call *c, struct str name, struct str value)
{
    if (str_eq(name, STR(":status")))
        c->http = number_of(value);
    else if (str_eq(name, STR("content-type")))
        c->grpc = str_starts(value, STR("application/grpc"));
    else if (str_eq(name, STR("grpc-status")))
        c->code = number_of(value);
    else if (str_eq(name, STR("grpc-message")))
        c->message = decode_message(c, value);
    else
        return str_starts(name, STR("grpc-")) && !str_eq(name, STR("grpc-status-details-bin"));
    return true;
}

void
call_header(struct upstream_call *c, struct str name, struct str value, bool trailer)
{
    c->metadata_bytes += name.n + value.n + 32;
    if (c->metadata_bytes > UPSTREAM_METADATA_MAX)
        call_abandon(c, RESOURCE_EXHAUSTED, STR("the server's metadata are larger than allowed"));
    else if (!take_own(c, name, value))
        add_pair(c, trailer ? &c->trailers : &c->headers, name, value);
}

/* ---- the end ---- */

static enum status
status_of_error(uint32_t code)
{
    switch (code) {
    case NGHTTP2_REFUSED_STREAM:
        return UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return PERMISSION_DENIED;
    default:
        return INTERNAL;
    }
}

static enum status
status_of_http(int http)
{
    switch (http) {
    case 400:
        return INTERNAL;
    case 401:
        return UNAUTHENTICATED;
    case 403:
        return PERMISSION_DENIED;
    case 404:
        return UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return UNAVAILABLE;
    default:
        return UNKNOWN;
    }
}

#define NOT_GRPC STR("what answers is not a gRPC server")

static bool
is_grpc(const struct upstream_call *c)
{
    return c->http == 200 && c->grpc;
}

void
call_head(struct upstream_call *c)
{
    if (c->http >= 200 && c->code < 0 && !is_grpc(c))
        call_abandon(c, status_of_http(c->http), NOT_GRPC);
}

void
call_closed(struct upstream_call *c, uint32_t error_code)
{
    if (c->over || c->ending)
        return;
    if (c->code >= 0) {
        c->status = c->code > UNAUTHENTICATED ? UNKNOWN : (enum status)c->code;
    } else if (c->http != 0 && !is_grpc(c)) {
        c->status = status_of_http(c->http);
        c->message = NOT_GRPC;
    } else {
        c->status = status_of_error(error_code);
        c->message = STR("the server ended the call without a status");
    }
    c->ending = true;
    if (c->unary)
        finish(c);
    else
        call_deliver(c);
    if (!c->over)
        call_detach(c);
}
