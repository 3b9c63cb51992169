/* Envoy's rate limit service: descriptors to limits, one decision, and back. */
#include "envoy/service/ratelimit/v3/rls.rpc.h"

#include <openssl/evp.h>

#include "edge/quota_gate.h"
#include "quota/limit_rules.h"

typedef Envoy__Service__Ratelimit__V3__RateLimitRequest Request;
typedef Envoy__Service__Ratelimit__V3__RateLimitResponse Response;
typedef Envoy__Service__Ratelimit__V3__RateLimitResponse__DescriptorStatus Status;
typedef Envoy__Service__Ratelimit__V3__RateLimitResponse__RateLimit Limit;
typedef Envoy__Extensions__Common__Ratelimit__V3__RateLimitDescriptor Descriptor;
typedef Envoy__Config__Core__V3__HeaderValue Header;

#define CODE(name) ENVOY__SERVICE__RATELIMIT__V3__RATE_LIMIT_RESPONSE__CODE__##name
#define METHOD     "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"

#define MAX_DESCRIPTORS 64
#define MAX_HITS        1000000

/* A day of each RateLimitUnit, in milliseconds. */
static const int64_t unit_ms[] = {
    0, 1000, 60000, 3600000, 86400000, INT64_C(30) * 86400000, INT64_C(365) * 86400000};

/* The limits of a request: those of its descriptors that have one. */
struct work {
    struct ctx *ctx;
    const Request *req;
    Response *resp;
    const struct limit_rule *rules;
    size_t rule_count;
    struct gate_limit limits[GATE_MAX_LIMITS];
    size_t status_of[GATE_MAX_LIMITS]; /* place of the descriptor */
    size_t n;
    bool blocked; /* one of them allows nothing at all */
};

/* ---- what is limited ------------------------------------------------------------------------- */

/* What a limit is called in Redis: nothing of what the descriptor holds. */
static const char *
key_of(struct arena *a, const char *domain, const struct limit_entry *entries, size_t n)
{
    uint8_t hash[32];
    char hex[33];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    ASSERT(md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1);
    ASSERT(EVP_DigestUpdate(md, domain, strlen(domain) + 1) == 1);
    for (size_t i = 0; i < n; i++)
        ASSERT(EVP_DigestUpdate(md, entries[i].key, strlen(entries[i].key) + 1) == 1 &&
               EVP_DigestUpdate(md, entries[i].value, strlen(entries[i].value) + 1) == 1);
    ASSERT(EVP_DigestFinal_ex(md, hash, NULL) == 1);
    EVP_MD_CTX_free(md);
    for (size_t i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    return arena_printf(a, "envoy:%s", hex);
}

static char *
name_of(struct arena *a, const struct limit_rule *r)
{
    char *name = arena_strdup(a, r->domain);
    for (size_t i = 0; i < r->entry_keys.n; i++) {
        const char *value = r->entry_values.texts[i];
        name = arena_printf(a, "%s/%s%s%s", name, r->entry_keys.texts[i], *value ? "=" : "", value);
    }
    return name;
}

static Limit *
limit_new(struct arena *a, int64_t units, int64_t period_ms, char *name)
{
    Limit *m = rpc_new(a, Limit,
                       envoy__service__ratelimit__v3__rate_limit_response__rate_limit__descriptor);
    m->requests_per_unit = units > UINT32_MAX ? UINT32_MAX : (uint32_t)units;
    for (size_t u = 1; u < ARRAY_LEN(unit_ms); u++)
        if (unit_ms[u] == period_ms)
            m->unit = (Envoy__Service__Ratelimit__V3__RateLimitResponse__RateLimit__Unit)u;
    m->name = name;
    return m;
}

/* The proxy's own limit. *ret_blocks: it allows nothing. */
static enum status
read_override(struct work *w, size_t i, struct gate_limit *l, Limit **ret)
{
    const Envoy__Extensions__Common__Ratelimit__V3__RateLimitDescriptor__RateLimitOverride *o =
        w->req->descriptors[i]->limit;
    if ((int)o->unit < 1 || (size_t)o->unit >= ARRAY_LEN(unit_ms))
        return fail_field(w->ctx, arena_printf(w->ctx->arena, "descriptors[%zu].limit.unit", i),
                          "is not known");
    int64_t units = o->requests_per_unit;
    int64_t us = unit_ms[o->unit] * 1000;
    *ret = limit_new(w->ctx->arena, units, unit_ms[o->unit],
                     arena_strdup(w->ctx->arena, w->req->domain));
    l->capacity = units < GATE_MAX_CAPACITY ? units : GATE_MAX_CAPACITY;
    l->unit_us = units > 0 ? (us + units - 1) / units : 1;
    if (l->unit_us > GATE_MAX_UNIT_US)
        return fail_field(w->ctx, arena_printf(w->ctx->arena, "descriptors[%zu].limit.unit", i),
                          "is too long for so few requests");
    return OK;
}

static enum status
add_descriptor(struct work *w, size_t i, const struct limit_entry *entries, size_t n)
{
    const Descriptor *d = w->req->descriptors[i];
    struct ctx *ctx = w->ctx;
    struct gate_limit l = {.name = key_of(ctx->arena, w->req->domain, entries, n)};
    Limit *shown = NULL;
    if (d->limit) {
        enum status st = read_override(w, i, &l, &shown);
        if (st != OK)
            return st;
    } else {
        const struct limit_rule *r =
            limit_rules_match(w->rules, w->rule_count, w->req->domain, entries, n);
        if (!r)
            return OK;
        l.capacity = r->capacity;
        l.unit_us = r->unit_us;
        l.report_only = r->report_only;
        shown = limit_new(ctx->arena, r->units, r->period_ms, name_of(ctx->arena, r));
    }
    w->resp->statuses[i]->current_limit = shown;
    if (l.capacity == 0) {
        w->resp->statuses[i]->code = CODE(OVER_LIMIT);
        w->blocked = true;
        return OK;
    }
    for (size_t k = 0; k < w->n; k++)
        if (strcmp(w->limits[k].name, l.name) == 0)
            return fail_field(ctx, arena_printf(ctx->arena, "descriptors[%zu]", i),
                              "is there twice");
    if (w->n == GATE_MAX_LIMITS)
        return fail_field(ctx, "descriptors", "with a limit are more than %d", GATE_MAX_LIMITS);
    w->status_of[w->n] = i;
    w->limits[w->n++] = l;
    return OK;
}

static enum status
read_descriptor(struct work *w, size_t i)
{
    const Descriptor *d = w->req->descriptors[i];
    struct limit_entry entries[LIMIT_RULES_MAX_ENTRIES];
    struct arena *a = w->ctx->arena;
    w->resp->statuses[i] =
        rpc_new(a, Status,
                envoy__service__ratelimit__v3__rate_limit_response__descriptor_status__descriptor);
    w->resp->statuses[i]->code = CODE(OK);
    if (d->n_entries < 1)
        return fail_field(w->ctx, arena_printf(a, "descriptors[%zu].entries", i), "is required");
    if (d->n_entries > LIMIT_RULES_MAX_ENTRIES) /* no rule has so many */
        return d->limit ? fail_field(w->ctx, arena_printf(a, "descriptors[%zu].entries", i),
                                     "are more than %d", LIMIT_RULES_MAX_ENTRIES)
                        : OK;
    for (size_t k = 0; k < d->n_entries; k++)
        entries[k] = (struct limit_entry){d->entries[k]->key, d->entries[k]->value};
    return add_descriptor(w, i, entries, d->n_entries);
}

/* ---- what is answered ------------------------------------------------------------------------ */

static void
add_header(struct work *w, const char *name, int64_t value)
{
    Header *h = rpc_new(w->ctx->arena, Header, envoy__config__core__v3__header_value__descriptor);
    h->key = arena_strdup(w->ctx->arena, name);
    h->value = arena_printf(w->ctx->arena, "%lld", (long long)value);
    w->resp->response_headers_to_add[w->resp->n_response_headers_to_add++] = h;
}

static int64_t
seconds(nsec_t d)
{
    return (d + SEC(1) - 1) / SEC(1);
}

/* The headers of the limit of which the least is left, or of the one that refuses. */
static void
add_headers(struct work *w, const struct gate_decision *d)
{
    size_t tight = 0;
    w->resp->response_headers_to_add = arena_new_n(w->ctx->arena, Header *, 4);
    if (w->n == 0)
        return;
    for (size_t i = 1; i < w->n; i++)
        if (d->limits[i].remaining < d->limits[tight].remaining)
            tight = i;
    if (d->verdict != GATE_ADMITTED)
        tight = d->refused_by;
    const struct gate_limit_state *s = &d->limits[tight];
    add_header(w, "x-ratelimit-limit", w->limits[tight].capacity);
    add_header(w, "x-ratelimit-remaining", s->remaining);
    add_header(w, "x-ratelimit-reset", seconds(s->reset_after));
    if (d->verdict != GATE_ADMITTED && s->retry_after != NSEC_NEVER)
        add_header(w, "retry-after", seconds(s->retry_after));
}

static void
tell(struct work *w, const struct gate_decision *d)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct gate_limit_state *s = &d->limits[i];
        Status *m = w->resp->statuses[w->status_of[i]];
        bool over = !s->admits && !w->limits[i].report_only;
        nsec_t until = over && s->retry_after != NSEC_NEVER ? s->retry_after : s->reset_after;
        m->code = over ? CODE(OVER_LIMIT) : CODE(OK);
        m->limit_remaining = (uint32_t)s->remaining;
        m->duration_until_reset = rpc_new(w->ctx->arena, Google__Protobuf__Duration,
                                          google__protobuf__duration__descriptor);
        m->duration_until_reset->seconds = until / SEC(1);
        m->duration_until_reset->nanos = (int32_t)(until % SEC(1));
    }
    add_headers(w, d);
    bool admitted = d->verdict == GATE_ADMITTED && !w->blocked;
    w->resp->overall_code = admitted ? CODE(OK) : CODE(OVER_LIMIT);
}

static enum status
decide(struct work *w, int64_t hits)
{
    struct gate_decision d = {.verdict = GATE_ADMITTED};
    const struct gate_limit *limits;
    size_t n;
    const struct quota_charge charge = {
        .account_id = w->ctx->who.account_id,
        .cost = hits,
        .method = METHOD,
        .dry_run = w->blocked,
        .limits = w->limits,
        .limit_count = w->n,
    };
    for (size_t i = 0; i < w->n; i++)
        if ((double)hits * (double)w->limits[i].unit_us > 0x1p52)
            return fail_field(w->ctx, "hits_addend", "is far more than a limit will ever allow");
    if (w->n > 0) {
        enum status st = quota_gate_charge(w->ctx, &charge, &d, &limits, &n);
        if (st != OK)
            return st;
    }
    tell(w, &d);
    return OK;
}

static enum status
should_rate_limit(struct call *call, const Request *req, Response *resp)
{
    struct ctx *ctx = &call->ctx;
    struct work w = {.ctx = ctx, .req = req, .resp = resp};
    int64_t hits = req->hits_addend ? req->hits_addend : 1;
    if (!*req->domain)
        (void)fail_field(ctx, "domain", "is required");
    if (req->n_descriptors < 1 || req->n_descriptors > MAX_DESCRIPTORS)
        (void)fail_field(ctx, "descriptors", "must be 1 to %d", MAX_DESCRIPTORS);
    if (hits > MAX_HITS)
        (void)fail_field(ctx, "hits_addend", "is more than %d", MAX_HITS);
    if (ctx->error.status != OK)
        return ctx->error.status;
    enum status st = limit_rules_get(ctx, &w.rules, &w.rule_count);
    resp->n_statuses = req->n_descriptors;
    resp->statuses = arena_new_n(ctx->arena, Status *, req->n_descriptors);
    for (size_t i = 0; st == OK && i < req->n_descriptors; i++)
        st = read_descriptor(&w, i);
    return st == OK ? decide(&w, hits) : st;
}
