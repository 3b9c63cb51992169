#include "quota/quota_update_rpc.h"

#include "edge/field_mask.h"
#include "luna/v1/quota.pb-c.h"
#include "quota/quota_limits_rpc.h"

static Luna__V1__Role
role_to_proto(const char *role)
{
    if (str_eq(str_of(role), STR("admin")))
        return LUNA__V1__ROLE__ROLE_ADMIN;
    if (str_eq(str_of(role), STR("device")))
        return LUNA__V1__ROLE__ROLE_DEVICE;
    return LUNA__V1__ROLE__ROLE_MEMBER;
}

Luna__V1__ApiKey *
quota_api_key_of(struct arena *a, const struct api_key *row)
{
    Luna__V1__ApiKey *m = rpc_new(a, Luna__V1__ApiKey, luna__v1__api_key__descriptor);
    m->key_id = row->key_id;
    m->account_id = row->account_id;
    m->name = (char *)(uintptr_t)row->name;
    m->prefix = (char *)(uintptr_t)row->key_prefix;
    m->role = role_to_proto(row->role);
    m->n_scopes = row->scopes.n;
    m->scopes = (char **)(uintptr_t)row->scopes.texts;
    m->created_at = rpc_timestamp(a, row->created_at);
    if (row->has_expires_at)
        m->expires_at = rpc_timestamp(a, row->expires_at);
    if (row->has_revoked_at)
        m->revoked_at = rpc_timestamp(a, row->revoked_at);
    if (row->has_last_used_at)
        m->last_used_at = rpc_timestamp(a, row->last_used_at);
    if (row->has_previous_expires_at)
        m->previous_expires_at = rpc_timestamp(a, row->previous_expires_at);
    m->etag = (char *)(uintptr_t)quota_etag(a, row->updated_at);
    return m;
}

/* ---- etags ---------------------------------------------------------------------------------- */

enum status
quota_etag_read(struct call *call, const char *field, const char *etag, usec_t *ret)
{
    struct str s = str_of(etag);
    *ret = 0;
    if (s.n == 0 && call_metadata(call, "if-match", &s)) {
        field = "if-match";
        s = str_trim(s);
        if (str_eq(s, STR("*")))
            return OK;
        if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
            s = (struct str){s.p + 1, s.n - 2};
    }
    if (s.n == 0)
        return OK;
    if (!quota_etag_parse(arena_strndup(call->ctx.arena, s.p, s.n), ret) || *ret == 0)
        return fail_field(&call->ctx, field, "is not one that was given");
    return OK;
}

/* The rules of the message in the request's field `name`. */
static const struct rpc_rules *
rules_of(const struct call *call, const char *name)
{
    const struct rpc_rules *rules = call->method->rules;
    for (size_t i = 0; rules && i < rules->count; i++)
        if (strcmp(rules->rows[i].name, name) == 0)
            return rules->rows[i].nested;
    return NULL;
}

/* ---- updates -------------------------------------------------------------------------------- */

/* An update of one resource that a mask limits, in one transaction. */
struct update {
    struct call *call;
    const char *resource; /* its field in the request */
    const char *etag;     /* as the caller has it; "": he does not say */
    struct field_mask mask;
    const ProtobufCMessage *given;
    /* The resource as it is, locked until the transaction ends. */
    enum status (*lock)(struct ctx *ctx, struct update *u, ProtobufCMessage **ret_now,
                        usec_t *ret_updated_at);
    /* Makes it `m`, unless something is noted in ctx: then it adds what else is wrong, and fails.
     */
    enum status (*put)(struct ctx *ctx, struct update *u, const ProtobufCMessage *m);
};

static enum status
update_in_tx(struct ctx *ctx, void *arg)
{
    struct update *u = arg;
    ProtobufCMessage *m;
    usec_t updated_at;
    usec_t asked;
    enum status st = u->lock(ctx, u, &m, &updated_at);
    if (st != OK)
        return st;
    st =
        quota_etag_read(u->call, arena_printf(ctx->arena, "%s.etag", u->resource), u->etag, &asked);
    if (st == OK && asked != 0 && asked != updated_at)
        return fail_plain(ctx, CHANGED_MEANWHILE);
    /* What is wrong in the mask does not hide what else is. */
    st = field_mask_merge(ctx, u->mask, rules_of(u->call, u->resource), u->given, m);
    const enum status put = u->put(ctx, u, m);
    return st != OK ? st : put;
}

/* ---- keys ----------------------------------------------------------------------------------- */

struct key_update {
    struct update update; /* first */
    const Luna__V1__UpdateApiKeyRequest *req;
    struct api_key key; /* as it is, then as it has become */
};

static enum status
lock_key(struct ctx *ctx, struct update *update, ProtobufCMessage **ret_now, usec_t *ret_updated_at)
{
    struct key_update *u = container_of(update, struct key_update, update);
    enum status st = quota_key_lock(ctx, u->req->account_id, u->req->key_id, &u->key);
    if (st != OK)
        return st;
    *ret_now = &quota_api_key_of(ctx->arena, &u->key)->base;
    *ret_updated_at = u->key.updated_at;
    return OK;
}

static enum status
put_key(struct ctx *ctx, struct update *update, const ProtobufCMessage *message)
{
    struct key_update *u = container_of(update, struct key_update, update);
    const Luna__V1__ApiKey *m = (const Luna__V1__ApiKey *)(const void *)message;
    struct api_key key = u->key;
    key.name = m->name;
    key.scopes = (struct db_array){.n = m->n_scopes, .texts = (const char *const *)m->scopes};
    key.has_expires_at = m->expires_at != NULL;
    if (m->expires_at)
        key.expires_at = m->expires_at->seconds * 1000000 + m->expires_at->nanos / 1000;
    const bool given = m->expires_at && m->expires_at == u->req->api_key->expires_at;
    if (given && key.expires_at <= clock_wall_us())
        (void)fail_field(ctx, "api_key.expires_at", "is not in the future");
    if (ctx->error.status != OK)
        return ctx->error.status;
    return quota_key_update(ctx, &key, &u->key);
}

enum status
quota_update_api_key(struct call *call, const Luna__V1__UpdateApiKeyRequest *req,
                     Luna__V1__ApiKey **ret)
{
    struct key_update u = {
        .update = {.call = call,
                   .resource = "api_key",
                   .etag = req->api_key->etag,
                   .mask = FIELD_MASK(req->update_mask),
                   .given = &req->api_key->base,
                   .lock = lock_key,
                   .put = put_key},
        .req = req,
    };
    enum status st = db_tx(&call->ctx, update_in_tx, &u.update);
    if (st == OK)
        *ret = quota_api_key_of(call->ctx.arena, &u.key);
    return st;
}

/* ---- plans ---------------------------------------------------------------------------------- */

struct plan_update {
    struct update update; /* first */
    int64_t plan_id;
    struct plan plan; /* as it is, then as it has become */
};

static enum status
lock_plan(struct ctx *ctx, struct update *update, ProtobufCMessage **ret_now,
          usec_t *ret_updated_at)
{
    struct plan_update *u = container_of(update, struct plan_update, update);
    enum status st = quota_plan_lock(ctx, u->plan_id, &u->plan);
    if (st != OK)
        return st;
    *ret_now = &quota_plan_of(ctx->arena, &u->plan)->base;
    *ret_updated_at = u->plan.updated_at;
    return OK;
}

static enum status
put_plan(struct ctx *ctx, struct update *update, const ProtobufCMessage *message)
{
    struct plan_update *u = container_of(update, struct plan_update, update);
    struct plan plan;
    quota_plan_read(ctx, (const Luna__V1__Plan *)(const void *)message, &plan);
    plan.plan_id = u->plan_id;
    return quota_plan_put(ctx, &plan, &u->plan);
}

enum status
quota_update_plan(struct call *call, const Luna__V1__UpdatePlanRequest *req, Luna__V1__Plan **ret)
{
    struct plan_update u = {
        .update = {.call = call,
                   .resource = "plan",
                   .etag = req->plan->etag,
                   .mask = FIELD_MASK(req->update_mask),
                   .given = &req->plan->base,
                   .lock = lock_plan,
                   .put = put_plan},
        .plan_id = req->plan_id,
    };
    enum status st = db_tx(&call->ctx, update_in_tx, &u.update);
    if (st == OK)
        *ret = quota_plan_of(call->ctx.arena, &u.plan);
    return st;
}
