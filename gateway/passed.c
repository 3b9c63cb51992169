#include "gateway/passed.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/json_read.h"

#define NAMES_MAX     32
#define NAME_MAX_SIZE 128       /* bytes */
#define ANSWER_BYTES  (2 << 10) /* of the answer's: a connection's memory holds all its headers */
#define ANSWER_LEFT   8         /* headers that may come behind them: of caches, pages, failures */
#define META_PREFIX   "grpc-metadata-"
#define TRAILER       "grpc-trailer-"

struct names {
    struct str list[NAMES_MAX]; /* in small letters */
    size_t count;
    const char *text; /* see passed_request_names */
};

struct passed {
    struct arena arena;
    struct names request, answer;
    bool prefixes;
};

/* ---- what never passes ---- */

static bool
is_one_of(struct str name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct str one = str_of(list[i]);
        if (one.p[one.n - 1] == '-' ? str_starts(name, one) : str_eq(name, one))
            return true;
    }
    return false;
}

/* Names that end in "-" stand for all that begin so. */
static bool
is_own(struct str name)
{
    static const char *const own[] = {
        "grpc-",        "luna-",          "x-forwarded-", "forwarded",  "x-real-ip",
        "x-request-id", "x-http-code",    "traceparent",  "user-agent", "host",
        "connection",   "content-length", "content-type", "keep-alive", "proxy-",
        "te",           "trailer",        "upgrade",      "sec-",       "transfer-encoding",
    };
    return is_one_of(name, own, ARRAY_LEN(own));
}

/* Of answers, besides: what the gateway writes itself. */
static bool
is_written(struct str name)
{
    static const char *const written[] = {
        "access-control-",
        "age",
        "cache-control",
        "cache-status",
        "content-encoding",
        "date",
        "etag",
        "idempotency-replayed",
        "link",
        "location",
        "deprecation",
        "ratelimit",
        "x-ratelimit-",
        "retry-after",
        "ratelimit-",
        "sunset",
        "server",
        "x-content-type-options",
        "vary",
        "www-authenticate",
    };
    return is_one_of(name, written, ARRAY_LEN(written));
}

/* https://grpc.github.io/grpc/core/md_doc__p_r_o_t_o_c_o_l-_h_t_t_p2.html: Header-Name */
static bool
is_key(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'))
            return false;
    }
    return s.n > 0 && s.n <= NAME_MAX_SIZE;
}

static bool
is_binary(struct str key)
{
    return key.n > 4 && memcmp(key.p + key.n - 4, "-bin", 4) == 0;
}

static struct str
small_letters(struct arena *a, struct str s)
{
    char *text = arena_strndup(a, s.p, s.n);
    for (size_t i = 0; i < s.n; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] | 0x20);
    return (struct str){text, s.n};
}

/* ---- settings ---- */

static bool
may_be_listed(struct str name, bool answer)
{
    return is_key(name) && !is_own(name) && !(answer ? is_written(name) : request_forwards(name));
}

static bool
read_names(struct passed *p, const char *setting, const char *text, struct names *ret, char *err,
           size_t err_size)
{
    struct str rest = str_of(text);
    ret->text = "";
    while (rest.p && rest.n > 0) {
        struct str name = small_letters(&p->arena, str_trim(str_cut(&rest, ',')));
        if (name.n == 0)
            continue;
        if (!may_be_listed(name, ret == &p->answer) || ret->count == NAMES_MAX) {
            snprintf(err, err_size,
                     "%s: " STR_FMT " is no name, the gateway's own, passed anyway, or the %dth",
                     setting, STR_ARG(name), NAMES_MAX + 1);
            return false;
        }
        ret->list[ret->count++] = name;
        ret->text = arena_printf(&p->arena, "%s, " STR_FMT, ret->text, STR_ARG(name));
    }
    return true;
}

struct passed *
passed_new(const struct config *cfg, char *err, size_t err_size)
{
    struct passed *p = calloc(1, sizeof(*p));
    ASSERT(p);
    arena_init(&p->arena, 0);
    p->prefixes = cfg->grpc_headers;
    if (read_names(p, "request-headers", cfg->request_headers, &p->request, err, err_size) &&
        read_names(p, "answer-headers", cfg->answer_headers, &p->answer, err, err_size))
        return p;
    passed_free(p);
    return NULL;
}

void
passed_free(struct passed *p)
{
    if (!p)
        return;
    arena_fini(&p->arena);
    free(p);
}

const char *
passed_request_names(const struct passed *p)
{
    return p->request.text;
}

const char *
passed_answer_names(const struct passed *p)
{
    return p->answer.text;
}

static bool
is_listed(const struct names *n, struct str key)
{
    for (size_t i = 0; i < n->count; i++)
        if (str_eq(n->list[i], key))
            return true;
    return false;
}

/* ---- the request's ---- */

/* The metadata's name for a header, in small letters; p == NULL: it does not pass. */
static struct str
key_of(const struct passed *p, struct str header)
{
    if (is_listed(&p->request, header))
        return header;
    if (!p->prefixes || !str_starts(header, STR(META_PREFIX)))
        return (struct str){0};
    struct str key = {header.p + strlen(META_PREFIX), header.n - strlen(META_PREFIX)};
    return may_be_listed(key, false) ? key : (struct str){0};
}

static void
pass(struct exchange *x, struct str key, struct str value)
{
    struct buf plain;
    buf_init(&plain, value.n + 8); /* it is written in whole groups */
    if (x->in.forwarded_count == x->in.forwarded_room)
        answer_refuse(x, REASON_HEADERS_TOO_LARGE, NULL, "more than %d headers are to be passed on",
                      PASSED_MAX);
    else if (!is_binary(key))
        request_forward(&x->in, key.p, value);
    else if (!json_base64_decode(str_trim(value), &plain))
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "the header for " STR_FMT " is not base64",
                      STR_ARG(key));
    else
        x->in.forwarded[x->in.forwarded_count++] = (struct upstream_pair){
            key, {arena_memdup(&x->arena, plain.data, plain.len), plain.len}};
    buf_fini(&plain);
    x->in.passed_count++;
}

static enum MHD_Result
on_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_size, const char *text,
          size_t text_size)
{
    struct exchange *x = cls;
    struct str header = small_letters(&x->arena, (struct str){name, name_size});
    struct str value = {text ? text : "", text_size};
    (void)kind;
    if (str_eq(header, STR("te")))
        x->in.takes_trailers |= memmem(value.p, value.n, "trailers", 8) != NULL;
    struct str key = key_of(x->gw->passed, header);
    if (key.p && !x->refused)
        pass(x, key, value);
    return MHD_YES;
}

void
passed_request(struct exchange *x)
{
    const struct passed *p = x->gw->passed;
    struct request_headers *h = &x->in;
    if (p->request.count == 0 && !p->prefixes)
        return;
    struct upstream_pair *more =
        arena_new_n(&x->arena, struct upstream_pair, FORWARDED_MAX + PASSED_MAX);
    memcpy(more, h->few, sizeof(h->few));
    h->forwarded = more;
    h->forwarded_max += PASSED_MAX;
    size_t room = h->forwarded_room;
    h->forwarded_room = h->forwarded_count + PASSED_MAX;
    MHD_get_connection_values_n(x->conn, MHD_HEADER_KIND, on_header, x);
    h->forwarded_room = room + PASSED_MAX;
}

/* ---- the answer's ---- */

/* As a header can hold it; NULL: it cannot. */
static const char *
header_value(struct exchange *x, const struct upstream_pair *pair)
{
    struct buf text;
    struct str v = pair->value;
    buf_init(&text, ANSWER_BYTES);
    if (is_binary(pair->key)) {
        json_base64_encode(v, &text);
        v = (struct str){text.data, text.len};
    }
    bool good = !text.overflow;
    for (size_t i = 0; i < v.n; i++)
        good &= v.p[i] >= 0x20 && v.p[i] <= 0x7e;
    const char *value = good ? arena_strndup(&x->arena, v.n ? v.p : "", v.n) : NULL;
    buf_fini(&text);
    return value;
}

/* The header's name; NULL: it does not pass. */
static const char *
name_of(struct exchange *x, struct str key, bool trailer)
{
    const struct passed *p = x->gw->passed;
    if (is_listed(&p->answer, key))
        return key.p;
    if (!p->prefixes || !is_key(key) || is_own(key) || is_written(key) ||
        (trailer && !x->in.takes_trailers))
        return NULL;
    return arena_printf(&x->arena, "%s" STR_FMT, trailer ? TRAILER : META_PREFIX, STR_ARG(key));
}

static void
pass_back(struct exchange *x, const struct upstream_metadata *m, bool trailers, size_t *left)
{
    for (size_t i = 0; i < m->count; i++) {
        const char *name = name_of(x, m->pairs[i].key, trailers);
        const char *value = name ? header_value(x, &m->pairs[i]) : NULL;
        if (!value || strlen(name) + strlen(value) + 4 > *left ||
            x->header_count + ANSWER_LEFT >= EXCHANGE_HEADERS_MAX)
            continue;
        *left -= strlen(name) + strlen(value) + 4;
        answer_header(x, name, value);
    }
}

void
passed_answer(struct exchange *x)
{
    const struct passed *p = x->gw->passed;
    size_t left = ANSWER_BYTES;
    if (p->answer.count == 0 && !p->prefixes)
        return;
    pass_back(x, &x->call.headers, false, &left);
    pass_back(x, &x->call.trailers, true, &left);
}
