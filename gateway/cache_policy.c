/* What may be kept, for how long, for whom, and under which name. */
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "gateway/cache_private.h"
#include "gateway/frames.h"

#define KEY_PARTS (64 << 10) /* of a name, beside the message: headers have 24 KiB at most */

/* What a cache answers is not charged, so what costs is not kept; the code generator holds to that,
 * too. What is passed on may make any answer another one. */
int64_t
cache_seconds(const struct exchange *x)
{
    const struct schema_method *m = x->match.binding->method;
    struct str verb = str_of(x->method);
    if (m->client_streaming || m->server_streaming || frames_used(x) || x->in.passed_count > 0 ||
        (!str_eq(verb, STR("GET")) && !str_eq(verb, STR("HEAD"))) || m->policy.cost > 0 ||
        m->policy.cost_measured)
        return 0;
    return m->policy.cache_seconds;
}

bool
cache_is_public(const struct exchange *x)
{
    return x->match.binding->method->policy.cache_public;
}

/* ---- the caller's wishes, https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1 ---- */

static void
read_directive(struct str one, struct cached *c, bool *ret_read, bool *ret_any)
{
    struct str value = str_trim(one);
    struct str name = str_trim(str_cut(&value, '='));
    int64_t seconds;
    if (str_ieq(name, STR("no-store")))
        *ret_any = false;
    else if (str_ieq(name, STR("no-cache")))
        *ret_read = false;
    else if (str_ieq(name, STR("only-if-cached")))
        c->only_if_cached = true;
    else if (str_ieq(name, STR("max-age")) && value.p)
        c->oldest_s = str_to_i64(str_trim(value), &seconds) && seconds > 0 ? seconds : 0;
}

bool
cache_read_wishes(const struct exchange *x, struct cached *c, bool *ret_may_read)
{
    struct str rest = x->in.cache_control;
    bool any = true;
    c->oldest_s = -1;
    *ret_may_read = !x->in.pragma_no_cache || rest.n > 0;
    while (rest.p && rest.n > 0)
        read_directive(str_cut(&rest, ','), c, ret_may_read, &any);
    if (c->oldest_s == 0)
        *ret_may_read = false;
    return any;
}

/* ---- the name ---- */

/* With its length in front, so that no two lists of parts are the same bytes. */
static void
put_part(struct buf *b, struct str part)
{
    buf_put_uint(b, part.n);
    buf_putc(b, ':');
    buf_put(b, part.p, part.n);
}

/* All that makes one caller's answer another's: who he is, and the language he reads. */
static void
put_caller(struct buf *b, const struct exchange *x)
{
    static const struct str names[] = {
        {"authorization", 13}, {"x-api-key", 9}, {"accept-language", 15}};
    size_t from = cache_is_public(x) ? 2 : 0;
    for (size_t i = 0; i < x->in.forwarded_count; i++)
        for (size_t j = from; j < ARRAY_LEN(names); j++)
            if (str_eq(x->in.forwarded[i].key, names[j])) {
                put_part(b, names[j]);
                put_part(b, x->in.forwarded[i].value);
            }
}

void
cache_make_key(const struct cache *cache, const struct exchange *x, char key[CACHE_KEY])
{
    static const char hex[] = "0123456789abcdef", prefix[] = CACHE_PREFIX;
    const struct route_binding *b = x->match.binding;
    uint8_t hash[CACHE_HASH];
    unsigned n = sizeof(hash);
    struct buf parts;
    buf_init(&parts, x->message.len + KEY_PARTS);
    put_part(&parts, (struct str){(const char *)cache->schema, sizeof(cache->schema)});
    buf_printf(&parts, "%d %d %d %d ", (int)x->protocol, (int)b->names, (int)x->gw->emit,
               cache_is_public(x));
    put_part(&parts, str_of(b->method->path));
    put_part(&parts, b->response_body ? b->response_body->name : STR(""));
    put_part(&parts, (struct str){x->message.data, x->message.len});
    put_caller(&parts, x);
    HMAC(EVP_sha256(), cache->secret, sizeof(cache->secret), (const uint8_t *)parts.data, parts.len,
         hash, &n);
    buf_fini(&parts);
    memcpy(key, prefix, sizeof(prefix));
    char *end = key + sizeof(prefix) - 1;
    for (size_t i = 0; i < sizeof(hash); i++) {
        *end++ = hex[hash[i] >> 4];
        *end++ = hex[hash[i] & 15];
    }
    *end = '\0';
}

/* ---- https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2 ---- */

static struct str
opaque_tag(struct str etag)
{
    etag = str_trim(etag);
    return str_starts(etag, STR("W/")) ? (struct str){etag.p + 2, etag.n - 2} : etag;
}

/* The tags are quoted and may hold commas: each is looked for as a whole. */
bool
cache_etag_matches(struct str list, struct str etag)
{
    struct str want = opaque_tag(etag);
    if (str_eq(str_trim(list), STR("*")))
        return true;
    while (list.n > 0) {
        const char *open = memchr(list.p, '"', list.n);
        if (!open)
            return false;
        size_t left = list.n - (size_t)(open - list.p);
        const char *close = memchr(open + 1, '"', left - 1);
        if (!close)
            return false;
        if (str_eq((struct str){open, (size_t)(close - open) + 1}, want))
            return true;
        list = (struct str){close + 1, left - (size_t)(close - open) - 1};
    }
    return false;
}
