/* QuotaService: check, domain, convert. */
#include "luna/v1/quota.rpc.h"

#include "quota/quota.h"

static Google__Protobuf__Timestamp *
timestamp_of(struct arena *a, usec_t t)
{
    Google__Protobuf__Timestamp *ts =
        rpc_new(a, Google__Protobuf__Timestamp, google__protobuf__timestamp__descriptor);
    int64_t seconds = t / 1000000;
    int64_t micros = t % 1000000;
    if (micros < 0) {
        seconds--;
        micros += 1000000;
    }
    ts->seconds = seconds;
    ts->nanos = (int32_t)(micros * 1000);
    return ts;
}

static Luna__V1__Account *
account_of(struct arena *a, const struct account *row)
{
    Luna__V1__Account *m = rpc_new(a, Luna__V1__Account, luna__v1__account__descriptor);
    m->account_id = row->account_id;
    m->account_name = (char *)(uintptr_t)row->account_name;
    m->quota_limit = row->quota_limit;
    m->quota_used = row->quota_used;
    m->created_at = timestamp_of(a, row->created_at);
    m->updated_at = timestamp_of(a, row->updated_at);
    return m;
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
