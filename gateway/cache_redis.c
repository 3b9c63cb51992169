/* The cache's own thread, and what it says to Redis. */
#include <inttypes.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/redis.h"
#include "gateway/cache_private.h"
#include "run/ctx.h"
#include "run/fiber.h"
#include "run/reactor.h"

#define FIBERS 4096 /* look-ups at once; beyond, the server is asked */

/* An entry on its way. */
struct storing {
    struct inbox_msg msg;
    struct cache *cache;
    char key[CACHE_KEY];
    char ttl_ms[24];
    size_t size;
    char bytes[];
};

void
cache_count(struct cache *c, enum cache_event e)
{
    atomic_fetch_add_explicit(&c->events[e], 1, memory_order_relaxed);
}

bool
cache_is_ready(const struct cache *c)
{
    return redis_is_ready(c->redis);
}

/* Back to the connection's own thread. */
static void
hand_back(struct cached *c)
{
    c->x->stage = EXCHANGE_LOOKED;
    http_resume(c->x);
}

static void
fetch(void *arg)
{
    struct cached *c = arg;
    struct exchange *x = c->x;
    struct redis_reply *reply = NULL;
    struct ctx ctx;
    ctx_init(&ctx, &x->arena, x->gw->cache->reactor);
    if (redis_call(&ctx, &reply, STR("GET"), str_of(c->key)) != OK)
        c->failed = true;
    else if (reply->type == REDIS_STRING)
        c->entry = reply->str;
    ctx_fini(&ctx);
    hand_back(c);
}

static void
on_fetch(struct inbox_msg *m)
{
    struct cached *c = container_of(m, struct cached, msg);
    if (fiber_run(c->x->gw->cache->reactor, fetch, c))
        return;
    c->failed = true;
    hand_back(c);
}

void
cache_fetch(struct cache *cache, struct cached *c)
{
    c->msg.fn = on_fetch;
    http_suspend(c->x);
    inbox_send(cache->reactor, &c->msg);
}

static void
on_store(struct inbox_msg *m)
{
    struct storing *s = container_of(m, struct storing, msg);
    const struct str argv[] = {
        STR("SET"), str_of(s->key), {s->bytes, s->size}, STR("PX"), str_of(s->ttl_ms)};
    if (!redis_post(s->cache->reactor, argv, ARRAY_LEN(argv)))
        cache_count(s->cache, CACHE_ERROR);
    free(s);
}

void
cache_store(struct cache *cache, const char *key, nsec_t ttl, const struct buf *entry)
{
    struct storing *s = malloc(sizeof(*s) + entry->len);
    if (!s)
        return;
    s->msg.fn = on_store;
    s->cache = cache;
    s->size = entry->len;
    memcpy(s->bytes, entry->data, entry->len);
    snprintf(s->key, sizeof(s->key), "%s", key);
    snprintf(s->ttl_ms, sizeof(s->ttl_ms), "%lld", (long long)(ttl / MSEC(1)));
    cache_count(cache, CACHE_STORED);
    inbox_send(cache->reactor, &s->msg);
}

/* ---- life ---- */

struct cache *
cache_new(const struct config *cfg, struct str schema, char *err, size_t err_size)
{
    struct cache *c = calloc(1, sizeof(*c));
    const struct reactor_options reactor = {.max_fibers = FIBERS};
    const struct redis_options redis = {
        .url = cfg->redis_url, .client_name = "luna-gateway", .timeout = cfg->redis_timeout};
    ASSERT(c);
    SHA256((const uint8_t *)schema.p, schema.n, c->schema);
    if (*cfg->cache_secret)
        SHA256((const uint8_t *)cfg->cache_secret, strlen(cfg->cache_secret), c->secret);
    else
        ASSERT(RAND_bytes(c->secret, sizeof(c->secret)) == 1);
    c->reactor = reactor_new(&reactor);
    c->redis = redis_new(c->reactor, &redis, err, err_size);
    if (!c->redis) {
        reactor_free(c->reactor);
        free(c);
        return NULL;
    }
    reactor_start(c->reactor);
    return c;
}

void
cache_free(struct cache *c)
{
    if (!c)
        return;
    reactor_stop(c->reactor);
    reactor_join(c->reactor);
    redis_free(c->redis);
    reactor_free(c->reactor);
    free(c);
}

void
cache_metrics(const struct cache *c, struct buf *out)
{
    static const char *const names[CACHE_EVENTS] = {
        [CACHE_HIT] = "hit",           [CACHE_MISS] = "miss",   [CACHE_STALE] = "stale",
        [CACHE_BYPASS] = "bypass",     [CACHE_ERROR] = "error", [CACHE_STORED] = "stored",
        [CACHE_TOO_LONG] = "too_long",
    };
    buf_puts(out, "# HELP luna_gateway_cache_total Answers that may be kept: found, not found, too "
                  "old, unwanted, and what failed.\n"
                  "# TYPE luna_gateway_cache_total counter\n");
    for (size_t i = 0; i < CACHE_EVENTS; i++)
        buf_printf(out, "luna_gateway_cache_total{event=\"%s\"} %" PRIu64 "\n", names[i],
                   (uint64_t)atomic_load_explicit(&c->events[i], memory_order_relaxed));
    buf_printf(out,
               "# TYPE luna_gateway_cache_ready gauge\n"
               "luna_gateway_cache_ready %d\n",
               cache_is_ready(c));
}
