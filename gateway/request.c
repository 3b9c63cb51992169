/* The request's headers: one walk over them, limits first. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/uuid.h"
#include "gateway/gateway.h"

#define REQUEST_ID_MAX 128

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

static void
forward(struct request_headers *h, const char *key, struct str value)
{
    if (!is_printable(value))
        h->illegal = key;
    else if (h->forwarded_count < FORWARDED_MAX)
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

static bool
offers_gzip(struct str value)
{
    while (value.p) {
        struct str one = str_cut(&value, ',');
        struct str name = str_trim(str_cut(&one, ';'));
        if (!str_ieq(name, STR("gzip")))
            continue;
        struct str q = one.p ? str_trim(one) : STR("");
        double weight = 1;
        if (str_starts(q, STR("q=")))
            str_to_f64((struct str){q.p + 2, q.n - 2}, &weight);
        return weight > 0;
    }
    return false;
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

/* Names by their first letter, so that most cost one comparison or none. */
static bool
read_known(struct request_headers *h, const char *name, const char *text, struct str value)
{
    switch (name[0] | 0x20) {
    case 'a':
        if (strcasecmp(name, "accept") == 0)
            h->accept = value;
        else if (strcasecmp(name, "accept-encoding") == 0)
            h->accepts_gzip = offers_gzip(value);
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
        else if (strcasecmp(name, "connect-protocol-version") == 0)
            h->connect = true;
        else if (strcasecmp(name, "connect-timeout-ms") == 0)
            read_timeout(h, name, value);
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
    case 't':
        if (strcasecmp(name, "transfer-encoding") == 0)
            h->transfer_encodings++;
        else if (strcasecmp(name, "traceparent") == 0)
            h->traceparent = value;
        else
            return false;
        return true;
    case 'x':
        if (strcasecmp(name, "x-forwarded-for") == 0)
            h->forwarded_for = value;
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

static enum MHD_Result
read_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *text)
{
    struct request_headers *h = cls;
    struct str value = str_of(text ? text : "");
    (void)kind;
    h->bytes += strlen(name) + value.n + 4;
    if (read_known(h, name, text ? text : "", value))
        return MHD_YES;
    for (size_t i = 0; i < ARRAY_LEN(forwarded_names); i++)
        if (strcasecmp(name, forwarded_names[i]) == 0)
            forward(h, forwarded_names[i], value);
    return MHD_YES;
}

const char *
request_peer(struct exchange *x)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char text[INET6_ADDRSTRLEN] = "";
    if (info && info->client_addr && info->client_addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)info->client_addr)->sin_addr,
                  text, sizeof(text));
    else if (info && info->client_addr && info->client_addr->sa_family == AF_INET6)
        inet_ntop(AF_INET6,
                  &((const struct sockaddr_in6 *)(const void *)info->client_addr)->sin6_addr, text,
                  sizeof(text));
    return arena_strdup(&x->arena, text);
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

/* Metadata that the gateway itself adds: who calls, and under which name it is logged. */
static void
add_own(struct exchange *x)
{
    struct request_headers *h = &x->in;
    if (!is_request_id(h->request_id)) {
        struct uuid id;
        char text[UUID_TEXT];
        uuid_v7(&id, clock_wall_us() / 1000);
        uuid_format(&id, text);
        h->request_id = str_of(arena_strdup(&x->arena, text));
    }
    forward(h, "x-request-id", h->request_id);
    if (h->traceparent.n == 55 && is_printable(h->traceparent))
        forward(h, "traceparent", h->traceparent);
    const char *peer = request_peer(x);
    if (h->forwarded_for.n > 0 && is_printable(h->forwarded_for))
        peer = arena_printf(&x->arena, STR_FMT ", %s", STR_ARG(h->forwarded_for), peer);
    if (*peer)
        forward(h, "x-forwarded-for", str_of(peer));
}

void
request_read_headers(struct exchange *x)
{
    struct request_headers *h = &x->in;
    const struct config *cfg = x->gw->cfg;
    h->content_length = -1;
    MHD_get_connection_values(x->conn, MHD_HEADER_KIND, read_header, h);
    add_own(x);
    if (h->content_lengths > 1 || h->transfer_encodings > 1 ||
        (h->content_lengths && h->transfer_encodings))
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "the length of the body is given twice");
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

bool
accepts(struct str accept, struct str type)
{
    while (accept.p && accept.n > 0)
        if (media_type_is(str_cut(&accept, ','), type))
            return true;
    return false;
}
