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

/* ---- keys ----------------------------------------------------------------------------------- */

struct key_update {
    struct call *call;
    const Luna__V1__UpdateApiKeyRequest *req;
    usec_t updated_at;
    struct api_key ret;
};

static enum status
update_key_in_tx(struct ctx *ctx, void *arg)
{
    struct key_update *u = arg;
    const Luna__V1__UpdateApiKeyRequest *req = u->req;
    struct api_key key;
    enum status st = quota_key_lock(ctx, req->account_id, req->key_id, &key);
    if (st == OK && u->updated_at != 0 && u->updated_at != key.updated_at)
        return fail_plain(ctx, CHANGED_MEANWHILE);
    if (st != OK)
        return st;
    Luna__V1__ApiKey *m = quota_api_key_of(ctx->arena, &key);
    const Google__Protobuf__Timestamp *ends = m->expires_at;
    st = field_mask_merge(ctx, FIELD_MASK(req->update_mask), rules_of(u->call, "api_key"),
                          &req->api_key->base, &m->base);
    key.name = m->name;
    key.scopes = (struct db_array){.n = m->n_scopes, .texts = (const char *const *)m->scopes};
    key.has_expires_at = m->expires_at != NULL;
    if (m->expires_at)
        key.expires_at = m->expires_at->seconds * 1000000 + m->expires_at->nanos / 1000;
    if (st == OK && m->expires_at && m->expires_at != ends && key.expires_at <= clock_wall_us())
        return fail_field(ctx, "api_key.expires_at", "is not in the future");
    return st == OK ? quota_key_update(ctx, &key, &u->ret) : st;
}

enum status
quota_update_api_key(struct call *call, const Luna__V1__UpdateApiKeyRequest *req,
                     Luna__V1__ApiKey **ret)
{
    struct key_update u = {.call = call, .req = req};
    enum status st = quota_etag_read(call, "api_key.etag", req->api_key->etag, &u.updated_at);
    if (st == OK)
        st = db_tx(&call->ctx, update_key_in_tx, &u);
    if (st == OK)
        *ret = quota_api_key_of(call->ctx.arena, &u.ret);
    return st;
}

/* ---- plans ---------------------------------------------------------------------------------- */

struct plan_update {
    struct call *call;
    const Luna__V1__UpdatePlanRequest *req;
    usec_t updated_at;
    struct plan ret;
};

static enum status
update_plan_in_tx(struct ctx *ctx, void *arg)
{
    struct plan_update *u = arg;
    const Luna__V1__UpdatePlanRequest *req = u->req;
    struct plan plan;
    enum status st = quota_plan_lock(ctx, req->plan_id, &plan);
    if (st == OK && u->updated_at != 0 && u->updated_at != plan.updated_at)
        return fail_plain(ctx, CHANGED_MEANWHILE);
    if (st != OK)
        return st;
    Luna__V1__Plan *m = quota_plan_of(ctx->arena, &plan);
    st = field_mask_merge(ctx, FIELD_MASK(req->update_mask), rules_of(u->call, "plan"),
                          &req->plan->base, &m->base);
    if (st == OK)
        st = quota_plan_read(ctx, m, &plan);
    plan.plan_id = req->plan_id;
    return st == OK ? quota_plan_put(ctx, &plan, &u->ret) : st;
}

enum status
quota_update_plan(struct call *call, const Luna__V1__UpdatePlanRequest *req, Luna__V1__Plan **ret)
{
    struct ctx *ctx = &call->ctx;
    struct plan_update u = {.call = call, .req = req};
    if (req->plan_id <= 0)
        return fail_field(ctx, "plan_id", "must be positive");
    if (!req->plan)
        return fail_field(ctx, "plan", "is not given");
    enum status st = quota_etag_read(call, "plan.etag", req->plan->etag, &u.updated_at);
    if (st == OK)
        st = db_tx(ctx, update_plan_in_tx, &u);
    if (st == OK)
        *ret = quota_plan_of(ctx->arena, &u.ret);
    return st;
}
