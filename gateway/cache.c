/* An exchange's dealings with the cache: look, answer, keep. */
#include "gateway/cache.h"

#include <inttypes.h>
#include <openssl/sha.h>

#include "gateway/cache_private.h"
#include "gateway/frames.h"

#define ENTRY_MARK "1" /* the form of entries; another one is no entry */

/* Headers that are kept with an answer; limits are of a call, and not. */
static const char *const kept[] = {"ETag", "Link", "Location", "Deprecation", "Sunset"};

/* ---- looking ---- */

/* The server will be asked, unless the caller wanted a kept answer or none. */
static void
refuse_unless_asked(struct exchange *x)
{
    if (!x->cached->only_if_cached)
        return;
    answer_refuse(x, REASON_SERVER_UNREACHABLE, NULL,
                  "no answer is kept, and only a kept one was asked for");
    x->problem.http = MHD_HTTP_GATEWAY_TIMEOUT;
}

bool
cache_look(struct exchange *x)
{
    struct cache *cache = x->gw->cache;
    bool may_read;
    if (!cache || x->cached || cache_seconds(x) <= 0)
        return false;
    struct cached *c = x->cached = arena_new(&x->arena, struct cached);
    c->x = x;
    c->may_store = cache_read_wishes(x, c, &may_read);
    if (c->may_store)
        cache_make_key(cache, x, c->key);
    if (!c->may_store || !may_read) {
        cache_count(cache, CACHE_BYPASS);
        c->said = "luna-gateway; fwd=request";
        refuse_unless_asked(x);
        return false;
    }
    if (!cache_is_ready(cache)) {
        cache_count(cache, CACHE_ERROR);
        c->may_store = false;
        c->said = "luna-gateway; fwd=bypass; detail=\"no Redis\"";
        refuse_unless_asked(x);
        return false;
    }
    cache_fetch(cache, c);
    return true;
}

/* ---- entries: lines of a mark, three numbers and the headers, then the body ---- */

struct entry {
    int64_t stored_us;
    int64_t seconds; /* that it may be kept */
    struct str content_type;
    struct str headers[ARRAY_LEN(kept)];
    struct str body;
};

static bool
entry_read(struct str bytes, struct entry *ret)
{
    int64_t size;
    if (!str_eq(str_cut(&bytes, '\n'), STR(ENTRY_MARK)) ||
        !str_to_i64(str_cut(&bytes, '\n'), &ret->stored_us) ||
        !str_to_i64(str_cut(&bytes, '\n'), &ret->seconds) ||
        !str_to_i64(str_cut(&bytes, '\n'), &size))
        return false;
    ret->content_type = str_cut(&bytes, '\n');
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        ret->headers[i] = str_cut(&bytes, '\n');
    ret->body = bytes;
    return bytes.p && size >= 0 && bytes.n == (size_t)size;
}

static const char *
header_of(const struct exchange *x, const char *name)
{
    for (size_t i = 0; i < x->header_count; i++)
        if (strcmp(x->headers[i].name, name) == 0)
            return x->headers[i].value;
    return "";
}

static void
entry_write(const struct exchange *x, int64_t seconds, struct buf *out)
{
    buf_printf(out, ENTRY_MARK "\n%" PRId64 "\n%" PRId64 "\n%zu\n%s\n", (int64_t)clock_wall_us(),
               seconds, x->out.len, x->content_type);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        buf_printf(out, "%s\n", header_of(x, kept[i]));
    buf_put(out, x->out.data, x->out.len);
}

/* ---- answering ---- */

/* The answer may be kept for so long. */
static void
say_fresh(struct exchange *x, int64_t seconds)
{
    bool everybody = cache_is_public(x);
    answer_header(
        x, MHD_HTTP_HEADER_CACHE_CONTROL,
        arena_printf(&x->arena, "%s, max-age=%" PRId64, everybody ? "public" : "private", seconds));
    answer_header(x, MHD_HTTP_HEADER_VARY,
                  everybody ? "Accept-Language" : "Authorization, X-Api-Key, Accept-Language");
}

static void
say_status(struct exchange *x)
{
    if (x->cached && x->cached->said)
        answer_header(x, "Cache-Status", x->cached->said);
}

static void
give_304(struct exchange *x, const char *etag)
{
    if (!x->in.if_none_match || !cache_etag_matches(str_of(x->in.if_none_match), str_of(etag)))
        return;
    x->http = MHD_HTTP_NOT_MODIFIED;
    buf_clear(&x->out);
}

static const char *
copy(struct exchange *x, struct str s)
{
    return arena_strndup(&x->arena, s.p, s.n);
}

static bool
entry_answer(struct exchange *x, const struct entry *e, int64_t age_s)
{
    x->http = MHD_HTTP_OK;
    x->content_type = copy(x, e->content_type);
    buf_clear(&x->out);
    buf_put(&x->out, e->body.p, e->body.n);
    if (x->out.overflow) /* kept by a gateway with another max-answer */
        return false;
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (e->headers[i].n > 0)
            answer_header(x, kept[i], copy(x, e->headers[i]));
    say_fresh(x, e->seconds);
    answer_header(x, MHD_HTTP_HEADER_AGE, arena_printf(&x->arena, "%" PRId64, age_s));
    x->cached->said = "luna-gateway; hit";
    say_status(x);
    give_304(x, header_of(x, "ETag"));
    answer_compress(x);
    return true;
}

static enum cache_event
take_entry(struct exchange *x)
{
    struct cached *c = x->cached;
    struct entry e;
    if (c->failed || (c->entry.p && !entry_read(c->entry, &e)))
        return CACHE_ERROR;
    if (!c->entry.p)
        return CACHE_MISS;
    int64_t age_us = clock_wall_us() - e.stored_us; /* by two clocks: negative is none */
    int64_t age_s = age_us > 0 ? age_us / 1000000 : 0;
    if (age_s >= e.seconds || (c->oldest_s >= 0 && age_s > c->oldest_s))
        return CACHE_STALE;
    return entry_answer(x, &e, age_s) ? CACHE_HIT : CACHE_ERROR;
}

bool
cache_answer(struct exchange *x)
{
    static const char *const said[CACHE_EVENTS] = {
        [CACHE_MISS] = "luna-gateway; fwd=uri-miss",
        [CACHE_STALE] = "luna-gateway; fwd=stale",
        [CACHE_ERROR] = "luna-gateway; fwd=bypass; detail=\"Redis failed\"",
    };
    enum cache_event found = take_entry(x);
    cache_count(x->gw->cache, found);
    if (found == CACHE_HIT) {
        x->stage = EXCHANGE_DONE;
        return true;
    }
    x->cached->said = said[found];
    refuse_unless_asked(x);
    return false;
}

/* ---- keeping ---- */

/* Weak: the same answer, packed or not. */
static const char *
etag_of(struct exchange *x)
{
    uint8_t hash[CACHE_HASH];
    SHA256((const uint8_t *)x->out.data, x->out.len, hash);
    char *text = arena_printf(&x->arena, "W/\"%032d\"", 0);
    for (size_t i = 0; i < 16; i++) {
        static const char hex[] = "0123456789abcdef";
        text[3 + 2 * i] = hex[hash[i] >> 4];
        text[4 + 2 * i] = hex[hash[i] & 15];
    }
    return text;
}

/* The server may allow less than the method: `cache-control` in its answer's metadata. */
static int64_t
allowed_seconds(struct exchange *x)
{
    int64_t seconds = cache_seconds(x), own;
    const struct upstream_metadata *both[] = {&x->call.headers, &x->call.trailers};
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct str rest = upstream_find(both[i], STR("cache-control"));
        while (rest.p && rest.n > 0) {
            struct str value = str_trim(str_cut(&rest, ','));
            struct str name = str_cut(&value, '=');
            if (str_ieq(name, STR("no-store")) || str_ieq(name, STR("no-cache")))
                return 0;
            if (str_ieq(name, STR("max-age")) && str_to_i64(value, &own) && own < seconds)
                seconds = own;
        }
    }
    return x->http == MHD_HTTP_OK ? seconds : 0;
}

static void
keep(struct exchange *x, int64_t seconds)
{
    const struct config *cfg = x->gw->cfg;
    nsec_t ttl = SEC(seconds);
    struct buf entry;
    if (!cache_is_public(x) && ttl > cfg->cache_private)
        ttl = cfg->cache_private;
    if (ttl < MSEC(1))
        return;
    buf_init(&entry, (size_t)cfg->cache_entry);
    entry_write(x, seconds, &entry);
    if (entry.overflow)
        cache_count(x->gw->cache, CACHE_TOO_LONG);
    else
        cache_store(x->gw->cache, x->cached->key, ttl, &entry);
    buf_fini(&entry);
}

void
cache_finish(struct exchange *x)
{
    int64_t seconds = cache_seconds(x) > 0 ? allowed_seconds(x) : 0;
    say_status(x);
    if (seconds <= 0) {
        answer_header(x, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
        return;
    }
    if (!*header_of(x, "ETag"))
        answer_header(x, MHD_HTTP_HEADER_ETAG, etag_of(x));
    say_fresh(x, seconds);
    if (x->cached && x->cached->may_store)
        keep(x, seconds);
    give_304(x, header_of(x, "ETag"));
}
