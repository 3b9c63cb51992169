/* Rules of API keys. */
#include "quota/quota_private.h"
#include "quota/quota_store.h"

void
quota_key_new_secret(struct ctx *ctx, struct secret *ret)
{
    struct uuid key;
    char text[API_KEY_TEXT];
    api_key_generate(&key);
    struct api_key_hasher *hasher = quota_hasher_new();
    api_key_hash(hasher, &key, ret->hash);
    api_key_hasher_free(hasher);
    api_key_format(&key, text);
    ret->text = arena_strdup(ctx->arena, text);
    ret->prefix = arena_strndup(ctx->arena, text, API_KEY_PREFIX_SHOWN);
}

enum status
quota_key_create(struct ctx *ctx, const struct key_request *req, struct api_key *ret,
                 const char **ret_secret)
{
    int64_t account_id = req->account_id;
    enum status st = quota_check_own(ctx, &account_id);
    if (st == OK && req->has_expires_at && req->expires_at <= clock_wall_us())
        st = fail_field(ctx, "expires_at", "is not in the future");
    if (st != OK)
        return st;
    struct secret secret;
    quota_key_new_secret(ctx, &secret);
    const struct new_key key = {
        .account_id = account_id,
        .hash = secret.hash,
        .prefix = secret.prefix,
        .role = req->role,
        .scopes = req->scopes,
        .scope_count = req->scope_count,
        .name = req->name,
        .expires_at = req->has_expires_at ? req->expires_at : 0,
    };
    st = quota_store_insert_key(ctx, &key, ret);
    if (st == OK)
        *ret_secret = secret.text;
    return st;
}

enum status
quota_key_list(struct ctx *ctx, int64_t account_id, const struct list_request *list,
               struct api_key **ret, size_t *ret_n, const char **ret_next)
{
    enum status st = quota_check_own(ctx, &account_id);
    if (st == OK)
        st = quota_store_list_keys(ctx, account_id, list, ret, ret_n, ret_next);
    if (st != OK || *ret_n > 0)
        return st;
    struct account account; /* an empty list and a missing account are two answers */
    return quota_store_get_account(ctx, account_id, &account);
}

enum status
quota_key_lock(struct ctx *ctx, int64_t account_id, int64_t key_id, struct api_key *ret)
{
    bool found = false;
    enum status st = quota_check_own(ctx, &account_id);
    if (st == OK)
        st = quota_store_lock_key(ctx, account_id, key_id, ret, &found);
    return st == OK && (!found || ret->has_revoked_at) ? fail_plain(ctx, API_KEY_NOT_FOUND) : st;
}

enum status
quota_key_update(struct ctx *ctx, const struct api_key *key, struct api_key *ret)
{
    return quota_store_update_key(ctx, key, ret);
}

/* The key was not found as it was asked for: there is none, or it has changed since `updated_at`.
 */
static enum status
fail_changed(struct ctx *ctx, int64_t account_id, int64_t key_id, usec_t updated_at, bool revoked)
{
    struct api_key now;
    bool found = false;
    enum status st = OK;
    if (updated_at != 0)
        st = quota_store_lock_key(ctx, account_id, key_id, &now, &found);
    if (st != OK)
        return st;
    if (found && (revoked || !now.has_revoked_at))
        return fail_plain(ctx, CHANGED_MEANWHILE);
    return fail_plain(ctx, API_KEY_NOT_FOUND);
}

enum status
quota_key_rotate(struct ctx *ctx, int64_t account_id, int64_t key_id, int32_t grace_seconds,
                 usec_t updated_at, struct api_key *ret, const char **ret_secret)
{
    enum status st = quota_check_own(ctx, &account_id);
    if (st != OK)
        return st;
    struct secret secret;
    bool found = false;
    quota_key_new_secret(ctx, &secret);
    st = quota_store_rotate_key(ctx, account_id, key_id, secret.hash, secret.prefix, grace_seconds,
                                updated_at, ret, &found);
    if (st == OK && !found)
        return fail_changed(ctx, account_id, key_id, updated_at, false);
    if (st == OK)
        *ret_secret = secret.text;
    return st;
}

enum status
quota_key_revoke(struct ctx *ctx, int64_t account_id, int64_t key_id, usec_t updated_at,
                 struct api_key *ret)
{
    bool found = false;
    enum status st = quota_check_own(ctx, &account_id);
    if (st == OK)
        st = quota_store_revoke_key(ctx, account_id, key_id, updated_at, ret, &found);
    return st != OK || found ? st : fail_changed(ctx, account_id, key_id, updated_at, true);
}
