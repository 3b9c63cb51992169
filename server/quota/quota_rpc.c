/* QuotaService: check, domain, convert. */
#include "luna/v1/quota.rpc.h"

#include "edge/field_mask.h"
#include "edge/list.h"
#include "quota/quota.h"
#include "quota/quota_limits_rpc.h"
#include "quota/quota_update_rpc.h"

static Luna__V1__Account *
account_of(struct arena *a, const struct account *row)
{
    Luna__V1__Account *m = rpc_new(a, Luna__V1__Account, luna__v1__account__descriptor);
    m->account_id = row->account_id;
    m->account_name = (char *)(uintptr_t)row->account_name;
    m->quota_limit = row->quota_limit;
    m->quota_used = row->quota_used;
    m->created_at = rpc_timestamp(a, row->created_at);
    m->updated_at = rpc_timestamp(a, row->updated_at);
    m->etag = (char *)(uintptr_t)quota_etag(a, row->updated_at);
    return m;
}

static enum role
role_of_proto(Luna__V1__Role role)
{
    switch ((int)role) { /* any number may come over the wire */
    case LUNA__V1__ROLE__ROLE_UNSPECIFIED:
    case LUNA__V1__ROLE__ROLE_MEMBER:
        return ROLE_MEMBER;
    case LUNA__V1__ROLE__ROLE_DEVICE:
        return ROLE_DEVICE;
    case LUNA__V1__ROLE__ROLE_ADMIN:
        return ROLE_ADMIN;
    default:
        return ROLE_NONE;
    }
}

static enum status
get_account(struct call *call, const Luna__V1__GetAccountRequest *req,
            Luna__V1__GetAccountResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct account account;
    enum status st = quota_account(ctx, req->account_id, &account);
    if (st == OK)
        resp->account = account_of(ctx->arena, &account);
    return st;
}

static enum status
create_account(struct call *call, const Luna__V1__CreateAccountRequest *req,
               Luna__V1__CreateAccountResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct account account;
    int64_t limit = req->quota_limit_presence_case ? req->quota_limit : QUOTA_DEFAULT_LIMIT;
    enum status st = quota_create(ctx, req->account_name, limit, &account);
    if (st == OK)
        resp->account = account_of(ctx->arena, &account);
    return st;
}

static enum status
list_accounts(struct call *call, const Luna__V1__ListAccountsRequest *req,
              Luna__V1__ListAccountsResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    const struct list_request list = LIST_REQUEST(req, 100, QUOTA_MAX_PAGE_SIZE);
    struct account *rows;
    const char *next;
    size_t n;
    enum status st = quota_list(ctx, &list, &rows, &n, &next);
    if (st != OK)
        return st;
    resp->next_page_token = (char *)(uintptr_t)next;
    resp->n_accounts = n;
    resp->accounts = arena_new_n(ctx->arena, Luna__V1__Account *, n);
    for (size_t i = 0; i < n; i++)
        resp->accounts[i] = account_of(ctx->arena, &rows[i]);
    return OK;
}

static enum status
update_account(struct call *call, const Luna__V1__UpdateAccountRequest *req,
               Luna__V1__UpdateAccountResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct account account;
    static const char *const names[] = {"account_name", "quota_limit", NULL};
    const struct field_mask mask = FIELD_MASK(req->update_mask);
    struct account_change change = {.account_id = req->account_id};
    if (req->account_name_presence_case && field_mask_has(mask, "account_name"))
        change.account_name = req->account_name;
    change.has_quota_limit = req->quota_limit_presence_case && field_mask_has(mask, "quota_limit");
    change.quota_limit = change.has_quota_limit ? req->quota_limit : 0;
    enum status st = field_mask_check(ctx, mask, names);
    if (st == OK)
        st = quota_etag_read(call, "etag", req->etag, &change.updated_at);
    change.has_updated_at = change.updated_at != 0;
    if (st == OK)
        st = quota_update(ctx, &change, &account);
    if (st == OK)
        resp->account = account_of(ctx->arena, &account);
    return st;
}

static enum status
delete_account(struct call *call, const Luna__V1__DeleteAccountRequest *req,
               Luna__V1__DeleteAccountResponse *resp)
{
    usec_t updated_at;
    (void)resp;
    enum status st = quota_etag_read(call, "etag", req->etag, &updated_at);
    return st == OK ? quota_delete(&call->ctx, req->account_id, req->force, updated_at) : st;
}

static enum status
create_api_key(struct call *call, const Luna__V1__CreateApiKeyRequest *req,
               Luna__V1__CreateApiKeyResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct api_key key;
    const char *secret;
    struct key_request in = {
        .account_id = req->account_id,
        .name = req->name,
        .role = role_of_proto(req->role),
        .scopes = (const char *const *)req->scopes,
        .scope_count = req->n_scopes,
        .has_expires_at = req->expires_at != NULL,
    };
    if (req->expires_at)
        in.expires_at = req->expires_at->seconds * 1000000 + req->expires_at->nanos / 1000;
    enum status st = quota_key_create(ctx, &in, &key, &secret);
    if (st == OK) {
        resp->api_key = quota_api_key_of(ctx->arena, &key);
        resp->key = (char *)(uintptr_t)secret;
    }
    return st;
}

static enum status
list_api_keys(struct call *call, const Luna__V1__ListApiKeysRequest *req,
              Luna__V1__ListApiKeysResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    const struct list_request list = LIST_REQUEST(req, 100, QUOTA_MAX_PAGE_SIZE);
    struct api_key *rows;
    const char *next;
    size_t n;
    enum status st = quota_key_list(ctx, req->account_id, &list, &rows, &n, &next);
    if (st != OK)
        return st;
    resp->next_page_token = (char *)(uintptr_t)next;
    resp->n_api_keys = n;
    resp->api_keys = arena_new_n(ctx->arena, Luna__V1__ApiKey *, n);
    for (size_t i = 0; i < n; i++)
        resp->api_keys[i] = quota_api_key_of(ctx->arena, &rows[i]);
    return OK;
}

static enum status
rotate_api_key(struct call *call, const Luna__V1__RotateApiKeyRequest *req,
               Luna__V1__RotateApiKeyResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct api_key key;
    const char *secret;
    usec_t updated_at;
    enum status st = quota_etag_read(call, "etag", req->etag, &updated_at);
    if (st == OK)
        st = quota_key_rotate(ctx, req->account_id, req->key_id, req->grace_seconds, updated_at,
                              &key, &secret);
    if (st == OK) {
        resp->api_key = quota_api_key_of(ctx->arena, &key);
        resp->key = (char *)(uintptr_t)secret;
    }
    return st;
}

static enum status
revoke_api_key(struct call *call, const Luna__V1__RevokeApiKeyRequest *req,
               Luna__V1__RevokeApiKeyResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct api_key key;
    usec_t updated_at;
    enum status st = quota_etag_read(call, "etag", req->etag, &updated_at);
    if (st == OK)
        st = quota_key_revoke(ctx, req->account_id, req->key_id, updated_at, &key);
    if (st == OK)
        resp->api_key = quota_api_key_of(ctx->arena, &key);
    return st;
}

/* ---- plans -------------------------------------------------------------------------------------
 */

static enum status
create_plan(struct call *call, const Luna__V1__CreatePlanRequest *req,
            Luna__V1__CreatePlanResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct plan plan;
    struct plan now;
    quota_plan_read(ctx, req->plan, &plan);
    enum status st = quota_plan_put(ctx, &plan, &now);
    if (st == OK)
        resp->plan = quota_plan_of(ctx->arena, &now);
    return st;
}

static enum status
update_plan(struct call *call, const Luna__V1__UpdatePlanRequest *req,
            Luna__V1__UpdatePlanResponse *resp)
{
    return quota_update_plan(call, req, &resp->plan);
}

static enum status
update_api_key(struct call *call, const Luna__V1__UpdateApiKeyRequest *req,
               Luna__V1__UpdateApiKeyResponse *resp)
{
    return quota_update_api_key(call, req, &resp->api_key);
}

static enum status
get_plan(struct call *call, const Luna__V1__GetPlanRequest *req, Luna__V1__GetPlanResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct plan plan;
    enum status st = quota_plan_get(ctx, req->plan_id, &plan);
    if (st == OK)
        resp->plan = quota_plan_of(ctx->arena, &plan);
    return st;
}

static enum status
list_plans(struct call *call, const Luna__V1__ListPlansRequest *req,
           Luna__V1__ListPlansResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    const struct list_request list = LIST_REQUEST(req, 100, QUOTA_MAX_PAGE_SIZE);
    struct plan *rows;
    const char *next;
    size_t n;
    enum status st = quota_plan_list(ctx, &list, &rows, &n, &next);
    if (st != OK)
        return st;
    resp->next_page_token = (char *)(uintptr_t)next;
    resp->n_plans = n;
    resp->plans = arena_new_n(ctx->arena, Luna__V1__Plan *, n);
    for (size_t i = 0; i < n; i++)
        resp->plans[i] = quota_plan_of(ctx->arena, &rows[i]);
    return OK;
}

static enum status
delete_plan(struct call *call, const Luna__V1__DeletePlanRequest *req,
            Luna__V1__DeletePlanResponse *resp)
{
    usec_t updated_at;
    (void)resp;
    enum status st = quota_etag_read(call, "etag", req->etag, &updated_at);
    return st == OK ? quota_plan_delete(&call->ctx, req->plan_id, updated_at) : st;
}

static enum status
set_account_plan(struct call *call, const Luna__V1__SetAccountPlanRequest *req,
                 Luna__V1__SetAccountPlanResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct account account;
    usec_t updated_at;
    enum status st = quota_etag_read(call, "etag", req->etag, &updated_at);
    if (st == OK)
        st = quota_plan_assign(ctx, req->account_id, req->plan_id, updated_at, &account);
    if (st == OK)
        resp->account = account_of(ctx->arena, &account);
    return st;
}

/* ---- usage and events --------------------------------------------------------------------------
 */

static enum status
get_usage(struct call *call, const Luna__V1__GetUsageRequest *req, Luna__V1__GetUsageResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct quota_usage usage;
    enum status st = quota_usage_read(ctx, req->account_id, req->days, &usage);
    if (st == OK)
        quota_usage_write(ctx->arena, &usage, resp);
    return st;
}

static enum status
list_quota_events(struct call *call, const Luna__V1__ListQuotaEventsRequest *req,
                  Luna__V1__ListQuotaEventsResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    const struct list_request list = LIST_REQUEST(req, 100, QUOTA_MAX_PAGE_SIZE);
    struct quota_event *rows;
    const char *next;
    size_t n;
    enum status st = quota_events_list(ctx, req->account_id, &list, &rows, &n, &next);
    if (st != OK)
        return st;
    resp->next_page_token = (char *)(uintptr_t)next;
    resp->n_events = n;
    resp->events = arena_new_n(ctx->arena, Luna__V1__QuotaEvent *, n);
    for (size_t i = 0; i < n; i++)
        resp->events[i] = quota_event_of(ctx->arena, &rows[i]);
    return OK;
}

static enum status
send_events(struct stream *out, const struct quota_event *rows, size_t n)
{
    enum status st = OK;
    for (size_t i = 0; st == OK && i < n; i++) {
        Luna__V1__WatchQuotaResponse m = LUNA__V1__WATCH_QUOTA_RESPONSE__INIT;
        m.event = quota_event_of(stream_arena(out), &rows[i]);
        st = stream_send(out, &m.base);
    }
    return st;
}

static enum status
watch_quota(struct call *call, const Luna__V1__WatchQuotaRequest *req, struct stream *out)
{
    struct ctx *ctx = &call->ctx;
    struct quota_watch *watch;
    struct quota_event *rows;
    struct arena scratch;
    size_t n;
    enum status st = quota_watch_open(ctx, req->account_id, req->after_event_id, &watch);
    if (st == OK)
        st = stream_send_headers(out);
    arena_init(&scratch, 0);
    while (st == OK) {
        st = quota_watch_next(watch, &scratch, &rows, &n);
        if (st == OK)
            st = send_events(out, rows, n);
        arena_reset(&scratch);
    }
    arena_fini(&scratch);
    return st;
}
