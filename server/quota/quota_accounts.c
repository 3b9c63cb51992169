/* Rules of accounts. */
#include <inttypes.h>

#include "quota/quota_private.h"
#include "quota/quota_store.h"

enum status
quota_check_own(struct ctx *ctx, int64_t *account_id)
{
    if (*account_id == 0)
        *account_id = ctx->who.account_id;
    if (*account_id != ctx->who.account_id && ctx->who.role != ROLE_ADMIN)
        return fail_plain(ctx, ACCOUNT_NOT_FOUND);
    return OK;
}

enum status
quota_account(struct ctx *ctx, int64_t account_id, struct account *ret)
{
    enum status st = quota_check_own(ctx, &account_id);
    return st == OK ? quota_store_get_account(ctx, account_id, ret) : st;
}

enum status
quota_create(struct ctx *ctx, const char *name, int64_t quota_limit, struct account *ret)
{
    return quota_store_insert_account(ctx, name, quota_limit, ret);
}

enum status
quota_list(struct ctx *ctx, const struct list_request *list, struct account **ret, size_t *ret_n,
           const char **ret_next)
{
    return quota_store_list_accounts(ctx, list, ret, ret_n, ret_next);
}

/* It was not found as it was asked for: there is none, or it is another one than was read. */
static enum status
fail_changed(struct ctx *ctx, int64_t account_id)
{
    struct account now;
    enum status st = quota_store_get_account(ctx, account_id, &now);
    return st != OK ? st : fail_plain(ctx, CHANGED_MEANWHILE);
}

enum status
quota_update(struct ctx *ctx, const struct account_change *change, struct account *ret)
{
    bool found = false;
    enum status st = quota_store_update_account(ctx, change, ret, &found);
    return st != OK || found ? st : fail_changed(ctx, change->account_id);
}

struct deletion {
    int64_t account_id;
    bool force;
    usec_t updated_at;
};

static enum status
delete_in_tx(struct ctx *ctx, void *arg)
{
    const struct deletion *d = arg;
    int64_t keys = 0;
    enum status st = OK;
    if (!d->force)
        st = quota_store_count_live_keys(ctx, d->account_id, &keys);
    if (st != OK)
        return st;
    if (keys > 0)
        return fail(ctx, IN_USE, "the account has %" PRId64 " API key%s that work; use force", keys,
                    keys == 1 ? "" : "s");
    bool found = false;
    st = quota_store_delete_account(ctx, d->account_id, d->updated_at, &found);
    if (st != OK || found)
        return st;
    return fail_changed(ctx, d->account_id);
}

enum status
quota_delete(struct ctx *ctx, int64_t account_id, bool force, usec_t updated_at)
{
    if (account_id == ctx->who.account_id)
        return fail(ctx, IN_USE, "it is the account that this call acts as");
    struct deletion d = {account_id, force, updated_at};
    return db_tx(ctx, delete_in_tx, &d);
}

const char *
quota_etag(struct arena *a, usec_t updated_at)
{
    return arena_printf(a, "%" PRIx64, (uint64_t)updated_at);
}

bool
quota_etag_parse(const char *etag, usec_t *ret_updated_at)
{
    uint64_t n = 0;
    struct str s = str_of(etag);
    if (s.n == 0 || s.n > 16)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        const char *hex = "0123456789abcdef";
        const char *d = strchr(hex, s.p[i]);
        if (!d)
            return false;
        n = n << 4 | (uint64_t)(d - hex);
    }
    *ret_updated_at = (usec_t)n;
    return true;
}
