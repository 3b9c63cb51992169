#include "quota/quota.h"

#include <stdlib.h>

#include "base/config.h"
#include "edge/page_token.h"
#include "quota/limit_rules.h"
#include "quota/quota_private.h"
#include "quota/quota_store.h"

#define MAX_KNOWN_KEYS   65536U
#define MAX_UNKNOWN_KEYS 4096U

static struct {
    struct str secret;
    const char *anonymous;
} settings;

bool
quota_open(const struct config *cfg, char *err, size_t err_size)
{
    settings.secret = str_of(cfg->key_secret);
    page_token_init(settings.secret);
    settings.anonymous = cfg->anonymous_account;
    if (settings.secret.n >= API_KEY_SECRET_LEAST)
        return true;
    snprintf(err, err_size, "key-secret (LUNA_KEY_SECRET) needs %d bytes or more",
             API_KEY_SECRET_LEAST);
    return false;
}

void
quota_close(void)
{
    settings.secret = (struct str){NULL, 0};
    settings.anonymous = NULL;
}

struct api_key_hasher *
quota_hasher_new(void)
{
    struct api_key_hasher *h = api_key_hasher_new(settings.secret);
    ASSERT(h); /* quota_open has looked at its length */
    return h;
}

/* A key of this account has changed. NULL: some may have, while nobody listened; then each is read
 * again at its next use, and believed a little longer should the database be away again. */
static void
on_key_change(void *arg, const char *payload)
{
    struct quota_reactor *q = arg;
    int64_t account_id;
    q->key_drops++;
    if (!payload)
        key_cache_age(q->keys, clock_now() - QUOTA_KEY_TTL / 2);
    else if (str_to_i64(str_of(payload), &account_id) && account_id > 0)
        key_cache_drop_account(q->keys, account_id);
}

void
quota_attach(struct reactor *r)
{
    struct quota_reactor *q = calloc(1, sizeof(*q));
    ASSERT(q);
    q->reactor = r;
    q->hasher = quota_hasher_new();
    q->keys = key_cache_new(MAX_KNOWN_KEYS, MAX_UNKNOWN_KEYS);
    quota_touch_init(q);
    q->key_changes = db_listen(r, "luna_keys", on_key_change, q);
    q->rules = limit_rules_new(r);
    reactor_set_slot(r, SLOT_QUOTA, q);
}

void
quota_detach(struct reactor *r)
{
    struct quota_reactor *q = quota_of(r);
    if (!q)
        return;
    quota_touch_fini(q);
    limit_rules_free(q->rules);
    db_unlisten(q->key_changes);
    key_cache_free(q->keys);
    api_key_hasher_free(q->hasher);
    reactor_set_slot(r, SLOT_QUOTA, NULL);
    free(q);
}

struct quota_reactor *
quota_of(const struct reactor *r)
{
    return reactor_slot(r, SLOT_QUOTA);
}

/* ---- keys ----------------------------------------------------------------------------------- */

/* What the entry says of its holder. */
static enum status
judge(struct ctx *ctx, struct quota_reactor *q, struct key_entry *e, struct identity *ret)
{
    if (!e->known || e->revoked || e->role == ROLE_NONE)
        return fail_plain(ctx, BAD_CREDENTIALS);
    if (e->expires_at != 0 && e->expires_at <= clock_wall_us())
        return fail_plain(ctx, EXPIRED_CREDENTIALS);
    quota_touch(q, e);
    *ret = (struct identity){
        .account_id = e->account_id,
        .key_id = e->key_id,
        .role = e->role,
        .scopes = e->scopes ? arena_strdup(ctx->arena, e->scopes) : NULL,
    };
    return OK;
}

static char *
join_scopes(struct arena *a, const struct db_array *scopes)
{
    if (scopes->n == 0)
        return NULL;
    char *all = arena_strdup(a, scopes->texts[0]);
    for (size_t i = 1; i < scopes->n; i++)
        all = arena_printf(a, "%s %s", all, scopes->texts[i]);
    return all;
}

/* Asks the database and remembers what it says. Suspends: once. */
static enum status
look_up(struct ctx *ctx, struct quota_reactor *q, const uint8_t *hash, struct key_entry **ret)
{
    struct found_key row = {.account_id = 0};
    bool found;
    nsec_t asked = clock_now();
    uint64_t drops = q->key_drops;
    enum status st = quota_store_find_key(ctx, hash, &row, &found);
    if (st != OK)
        return st;
    if (drops != q->key_drops) /* the answer may be older than the change we were told of */
        asked -= QUOTA_KEY_TTL;
    struct key_entry facts = {.known = found, .read_at = asked};
    memcpy(facts.hash, hash, API_KEY_HASH);
    if (found) {
        facts.revoked = row.has_revoked_at;
        facts.role = quota_role_parse(row.role);
        facts.account_id = row.account_id;
        facts.key_id = row.key_id;
        facts.scopes = join_scopes(ctx->arena, &row.scopes);
        facts.expires_at = row.has_expires_at && row.expires_at != DB_INFINITY ? row.expires_at : 0;
    }
    *ret = key_cache_put(q->keys, &facts);
    return OK;
}

/* Reads a key that is believed still once more. When that fails the old entry is good until its
 * time. */
static enum status
refresh(struct ctx *ctx, struct quota_reactor *q, struct key_entry *e, const uint8_t *hash,
        struct key_entry **ret)
{
    e->refreshing = true;
    enum status st = look_up(ctx, q, hash, ret);
    if (st == OK)
        return OK;
    e = key_cache_find(q->keys, hash); /* it may have been pushed out meanwhile */
    if (e)
        e->refreshing = false;
    if (!e || st == CANCELLED || ctx_check(ctx) != OK)
        return st;
    fail_clear(ctx);
    *ret = e;
    return OK;
}

enum status
quota_authenticate(struct ctx *ctx, struct str token, bool may_look_up, struct identity *ret)
{
    struct quota_reactor *q = quota_of(ctx->reactor);
    struct uuid key;
    uint8_t hash[API_KEY_HASH];
    if (!api_key_parse(token, &key))
        return fail_plain(ctx, BAD_CREDENTIALS);
    api_key_hash(q->hasher, &key, hash);

    struct key_entry *e = key_cache_find(q->keys, hash);
    nsec_t age = e ? clock_now() - e->read_at : 0;
    enum status st = OK;
    if (!e || age >= QUOTA_KEY_TTL) {
        if (!may_look_up)
            return fail_plain(ctx, RATE_LIMITED);
        st = look_up(ctx, q, hash, &e);
    } else if (e->known && !e->refreshing && age >= QUOTA_KEY_TTL / 2) {
        st = refresh(ctx, q, e, hash, &e);
    }
    return st == OK ? judge(ctx, q, e, ret) : st;
}

enum status
quota_anonymous(struct ctx *ctx, struct identity *ret)
{
    struct quota_reactor *q = quota_of(ctx->reactor);
    nsec_t now = clock_now();
    bool old = q->anonymous_read_at == 0 || now - q->anonymous_read_at >= QUOTA_KEY_TTL;
    bool nobody_asks = !q->anonymous_refreshing;
    if (q->anonymous_id == 0 || (old && nobody_asks)) {
        int64_t id = 0;
        q->anonymous_refreshing = true;
        enum status st = quota_store_find_account(ctx, settings.anonymous, &id);
        q->anonymous_refreshing = false;
        if (st != OK)
            return st;
        q->anonymous_id = id;
        q->anonymous_read_at = now;
    }
    if (q->anonymous_id == 0) {
        enum status st = fail_plain(ctx, NO_CREDENTIALS);
        fail_detail(ctx, "LUNA_ANONYMOUS_ACCOUNT names no account: %s", settings.anonymous);
        return st;
    }
    *ret = (struct identity){.account_id = q->anonymous_id, .role = ROLE_MEMBER, .anonymous = true};
    return OK;
}
