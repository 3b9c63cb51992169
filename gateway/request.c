/* The request's headers: one walk over them, limits first. */
#include "base/uuid.h"
#include "gateway/gateway.h"
#include "gateway/guard.h"
#include "gateway/passed.h"

#define REQUEST_ID_MAX 128
#define TRACEPARENT    55 /* "00-<32>-<16>-<2>" */

/* Headers that the server sees as metadata of the same name. */
static const char *const forwarded_names[] = {
    "accept-language", "authorization", "idempotency-key", "if-match",
    "last-event-id",   "tracestate",    "x-api-key",
};

static bool
is_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] > 0x7e)
            return false;
    return true;
}

void
request_forward(struct request_headers *h, const char *key, struct str value)
{
    if (!is_printable(value))
        h->illegal = key;
    else if (h->forwarded_count < h->forwarded_room)
        h->forwarded[h->forwarded_count++] = (struct upstream_pair){str_of(key), str_trim(value)};
}

/* grpc-timeout ("100m", "5S"), connect-timeout-ms ("5000") and x-server-timeout ("1.5"). */
static bool
parse_grpc_timeout(struct str s, nsec_t *ret)
{
    static const char units[] = "HMSmun";
    static const nsec_t sizes[] = {SEC(3600), SEC(60), SEC(1), MSEC(1), USEC(1), 1};
    uint64_t n;
    const char *unit = s.n > 1 && s.n <= 9 ? memchr(units, s.p[s.n - 1], sizeof(units) - 1) : NULL;
    if (!unit || !str_to_u64((struct str){s.p, s.n - 1}, &n))
        return false;
    nsec_t size = sizes[unit - units];
    *ret = n > (uint64_t)(NSEC_NEVER / 2 / size) ? NSEC_NEVER / 2 : (nsec_t)n * size;
    return true;
}

static void
read_timeout(struct request_headers *h, const char *name, struct str value)
{
    uint64_t ms;
    double seconds;
    if (strcasecmp(name, "grpc-timeout") == 0)
        h->bad_timeout |= !parse_grpc_timeout(value, &h->timeout);
    else if (strcasecmp(name, "connect-timeout-ms") == 0)
        if (str_to_u64(value, &ms) && ms < 10000000000)
            h->timeout = MSEC(ms);
        else
            h->bad_timeout = true;
    else if (str_to_f64(value, &seconds) && seconds >= 0 && seconds < 1e9)
        h->timeout = (nsec_t)(seconds * 1e9);
    else
        h->bad_timeout = true;
}

/* Several Accept-Encoding headers are one list: the best of each is looked for. */
static void
read_accept_encoding(struct request_headers *h, struct str value)
{
    enum coding best = coding_accepted(value);
    if (best > h->accepts)
        h->accepts = best;
    h->takes_gzip = coding_takes_gzip(value);
}

static void
read_content_length(struct request_headers *h, struct str value)
{
    int64_t n;
    h->content_lengths++;
    if (str_to_i64(value, &n) && n >= 0)
        h->content_length = n;
    else
        h->content_lengths = 2; /* as bad as two */
}

static void
read_transfer_encoding(struct request_headers *h, struct str value)
{
    h->transfer_encodings++;
    h->unknown_transfer |= !str_ieq(str_trim(value), STR("chunked"));
}

static void
read_host(struct request_headers *h, struct str value)
{
    h->hosts++;
    h->host = str_trim(value);
}

/* Names by their first letter, so that most cost one comparison or none. */
static bool
read_known(struct request_headers *h, const char *name, const char *text, struct str value)
{
    switch (name[0] | 0x20) {
    case 'a':
        if (strcasecmp(name, "accept") == 0)
            accept_read(&h->accepted, value);
        else if (strcasecmp(name, "accept-encoding") == 0)
            read_accept_encoding(h, value);
        else if (strcasecmp(name, "access-control-request-method") == 0)
            h->request_method = text;
        else
            return false;
        return true;
    case 'c':
        if (strcasecmp(name, "content-type") == 0)
            h->content_type = value;
        else if (strcasecmp(name, "content-length") == 0)
            read_content_length(h, value);
        else if (strcasecmp(name, "content-encoding") == 0)
            h->content_encoding = str_trim(value);
        else if (strcasecmp(name, "cache-control") == 0)
            h->cache_control = value;
        else if (strcasecmp(name, "connect-protocol-version") == 0)
            h->connect = true;
        else if (strcasecmp(name, "connect-timeout-ms") == 0)
            read_timeout(h, name, value);
        return true;
    case 'f':
        if (strcasecmp(name, "forwarded") == 0)
            h->forwarded_header = value;
        return true;
    case 'h':
        if (strcasecmp(name, "host") == 0)
            read_host(h, value);
        return true;
    case 'g':
        if (strcasecmp(name, "grpc-timeout") == 0)
            read_timeout(h, name, value);
        return true;
    case 'i':
        if (strcasecmp(name, "if-none-match") == 0)
            h->if_none_match = text;
        else
            return false;
        return true;
    case 'o':
        if (strcasecmp(name, "origin") == 0)
            h->origin = text;
        return true;
    case 'p':
        h->pragma_no_cache |=
            strcasecmp(name, "pragma") == 0 && str_ieq(str_trim(value), STR("no-cache"));
        return true;
    case 't':
        if (strcasecmp(name, "transfer-encoding") == 0)
            read_transfer_encoding(h, value);
        else if (strcasecmp(name, "traceparent") == 0)
            h->traceparent = value;
        else
            return false;
        return true;
    case 'x':
        if (strcasecmp(name, "x-forwarded-for") == 0)
            h->forwarded_for = value;
        else if (strcasecmp(name, "x-forwarded-proto") == 0)
            h->forwarded_proto = str_trim(value);
        else if (strcasecmp(name, "x-forwarded-host") == 0)
            h->forwarded_host = str_trim(value);
        else if (strcasecmp(name, "x-request-id") == 0)
            h->request_id = value;
        else if (strcasecmp(name, "x-server-timeout") == 0)
            read_timeout(h, name, value);
        else
            return false;
        return true;
    default:
        return false;
    }
}

/* https://www.rfc-editor.org/rfc/rfc9110#name-tokens */
static bool
is_token(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c && strchr("!#$%&'*+-.^_`|~", c))))
            return false;
    }
    return n > 0;
}

/*
 * libmicrohttpd passes on what a proxy in front may have read otherwise: names with a space behind
 * them, values with a NUL inside. Where two readers do not agree on the headers they do not agree
 * on where the request ends, and the next one begins: such requests are refused, and their
 * connection is closed.
 */
static enum MHD_Result
read_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_size,
            const char *text, size_t text_size)
{
    struct request_headers *h = cls;
    struct str value = {text ? text : "", text_size};
    (void)kind;
    h->bytes += name_size + value.n + 4;
    if (!is_token(name, name_size))
        h->misframed = "a header's name is no token";
    else if (memchr(value.p, 0, value.n))
        h->misframed = "a header holds a NUL";
    if (h->misframed || read_known(h, name, value.p, value))
        return MHD_YES;
    for (size_t i = 0; i < ARRAY_LEN(forwarded_names); i++)
        if (strcasecmp(name, forwarded_names[i]) == 0)
            request_forward(h, forwarded_names[i], value);
    return MHD_YES;
}

bool
request_forwards(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(forwarded_names); i++)
        if (str_eq(name, str_of(forwarded_names[i])))
            return true;
    return false;
}

/* What is said of the body's length, and of the host, must be said once. */
static void
check_framing(struct request_headers *h)
{
    if (h->content_lengths > 1 || h->transfer_encodings > 1 ||
        (h->content_lengths && h->transfer_encodings))
        h->misframed = "the length of the body is given twice";
    else if (h->unknown_transfer)
        h->misframed = "the transfer coding is not chunked";
    else if (h->hosts > 1)
        h->misframed = "the host is given twice";
}

static bool
is_request_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              memchr("-_.:/+=", c, 7)))
            return false;
    }
    return s.n > 0 && s.n <= REQUEST_ID_MAX;
}

static const char *
new_id(struct exchange *x)
{
    struct uuid id;
    char text[UUID_TEXT];
    uuid_v7(&id, clock_wall_us() / 1000);
    uuid_format(&id, text);
    return arena_strdup(&x->arena, text);
}

/* https://www.w3.org/TR/trace-context/, version 00; no ids of zeros alone. */
static bool
is_traceparent(struct str s)
{
    if (s.n != TRACEPARENT || s.p[0] != '0' || s.p[1] != '0' || s.p[2] != '-' || s.p[35] != '-' ||
        s.p[52] != '-')
        return false;
    bool trace = false, span = false;
    for (size_t i = 3; i < s.n; i++) {
        if (i == 35 || i == 52)
            continue;
        if (str_hex_digit(s.p[i]) < 0 || (s.p[i] >= 'A' && s.p[i] <= 'F'))
            return false;
        trace |= i < 35 && s.p[i] != '0';
        span |= i > 35 && i < 52 && s.p[i] != '0';
    }
    return trace && span;
}

/* A trace that begins here, and that nobody has decided to record. */
static struct str
new_traceparent(struct exchange *x)
{
    static const char hex[] = "0123456789abcdef";
    char text[TRACEPARENT + 1] = "00-";
    struct uuid trace, span;
    uuid_v7(&trace, clock_wall_us() / 1000);
    uuid_v7(&span, clock_wall_us() / 1000);
    for (size_t i = 0; i < 16; i++) {
        text[3 + 2 * i] = hex[trace.bytes[i] >> 4];
        text[4 + 2 * i] = hex[trace.bytes[i] & 15];
    }
    text[35] = '-';
    for (size_t i = 0; i < 8; i++) { /* the random half */
        text[36 + 2 * i] = hex[span.bytes[8 + i] >> 4];
        text[37 + 2 * i] = hex[span.bytes[8 + i] & 15];
    }
    memcpy(text + 52, "-00", 3);
    return str_of(arena_strndup(&x->arena, text, TRACEPARENT));
}

void
request_add_own(struct exchange *x)
{
    struct request_headers *h = &x->in;
    const char *peer = guard_peer(x->guarded);
    h->forwarded_room = h->forwarded_max;
    request_forward(h, "x-request-id", h->request_id);
    request_forward(h, "traceparent",
                    is_traceparent(h->traceparent) ? h->traceparent : new_traceparent(x));
    forwarded_settle(x, str_of(peer));
    struct str chain = str_of(arena_strdup(&x->arena, peer)); /* the connection may go first */
    if (h->forwarded_for.n > 0 && is_printable(h->forwarded_for))
        chain = str_of(arena_printf(&x->arena, STR_FMT ", %s", STR_ARG(h->forwarded_for), peer));
    if (chain.n > 0)
        request_forward(h, "x-forwarded-for", chain);
    request_forward(h, "x-forwarded-proto", h->forwarded_proto);
    if (h->forwarded_host.n > 0)
        request_forward(h, "x-forwarded-host", h->forwarded_host);
}

bool
request_unpack(struct exchange *x)
{
    struct str coding = x->in.content_encoding;
    struct buf plain;
    if (coding.n == 0 || str_ieq(coding, STR("identity")))
        return true;
    if (!str_ieq(coding, STR("gzip"))) {
        answer_refuse(x, REASON_WRONG_CONTENT_TYPE, NULL,
                      "the body's Content-Encoding must be gzip or identity");
        return false;
    }
    size_t max = (size_t)x->gw->cfg->max_body;
    enum coding_result r = coding_unpack_gzip((struct str){x->body.data, x->body.len}, max, &plain);
    buf_fini(&x->body);
    x->body = plain;
    if (r == CODING_TOO_LARGE)
        answer_refuse(x, REASON_TOO_LARGE, NULL, "the unpacked body is larger than %zu bytes", max);
    else if (r == CODING_BROKEN)
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "the body is not whole gzip data");
    return r == CODING_OK;
}

void
request_read_headers(struct exchange *x)
{
    struct request_headers *h = &x->in;
    const struct config *cfg = x->gw->cfg;
    h->content_length = -1;
    h->forwarded = h->few;
    h->forwarded_max = FORWARDED_MAX;
    h->forwarded_room = FORWARDED_MAX - FORWARDED_OWN;
    h->bytes = x->path.n + x->query.n;
    MHD_get_connection_values_n(x->conn, MHD_HEADER_KIND, read_header, h);
    passed_request(x);
    check_framing(h);
    if (!is_request_id(h->request_id))
        h->request_id = str_of(new_id(x));
    x->closing = h->misframed != NULL;
    if (h->misframed)
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "%s", h->misframed);
    else if (h->bytes > (size_t)cfg->max_headers)
        answer_refuse(x, REASON_HEADERS_TOO_LARGE, NULL, "the headers are larger than %lld bytes",
                      (long long)cfg->max_headers);
    else if (h->illegal)
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "the header %s holds what is no ASCII text",
                      h->illegal);
    else if (h->bad_timeout)
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "the timeout header is not a time");
}

bool
media_type_is(struct str content_type, struct str type)
{
    return str_ieq(str_trim(str_cut(&content_type, ';')), type);
}
