/* Rules of API keys. */
#include "quota/quota_private.h"
#include "quota/quota_store.h"

#define MAX_SCOPE 64U

static enum status
check_scope(struct ctx *ctx, size_t i, const char *scope)
{
    size_t n = strlen(scope);
    bool good = n > 0 && n <= MAX_SCOPE;
    for (size_t k = 0; k < n && good; k++) {
        char c = scope[k];
        good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '*';
    }
    if (good)
        return OK;
    return fail_field(ctx, arena_printf(ctx->arena, "scopes[%zu]", i),
                      "must be like kalman.read, kalman or *");
}

static enum status
check_request(struct ctx *ctx, const struct key_request *req)
{
    if (quota_check_name(ctx, "name", req->name, 0) != OK)
        return ctx->error.status;
    if (req->role == ROLE_NONE)
        (void)fail_field(ctx, "role", "is not a known role");
    if (req->scope_count > QUOTA_MAX_SCOPES)
        return fail_field(ctx, "scopes", "are more than %d", QUOTA_MAX_SCOPES);
    for (size_t i = 0; i < req->scope_count; i++)
        (void)check_scope(ctx, i, req->scopes[i]);
    if (req->has_expires_at && req->expires_at <= clock_wall_us())
        (void)fail_field(ctx, "expires_at", "is not in the future");
    return ctx->error.status;
}

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
    if (st == OK)
        st = check_request(ctx, req);
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
quota_key_rotate(struct ctx *ctx, int64_t account_id, int64_t key_id, int32_t grace_seconds,
                 struct api_key *ret, const char **ret_secret)
{
    enum status st = quota_check_own(ctx, &account_id);
    if (st == OK && (grace_seconds < 0 || grace_seconds > QUOTA_MAX_GRACE_S))
        st = fail_field(ctx, "grace_seconds", "must be 0 to %d", QUOTA_MAX_GRACE_S);
    if (st != OK)
        return st;
    struct secret secret;
    bool found = false;
    quota_key_new_secret(ctx, &secret);
    st = quota_store_rotate_key(ctx, account_id, key_id, secret.hash, secret.prefix, grace_seconds,
                                ret, &found);
    if (st == OK && !found)
        return fail_plain(ctx, API_KEY_NOT_FOUND);
    if (st == OK)
        *ret_secret = secret.text;
    return st;
}

enum status
quota_key_revoke(struct ctx *ctx, int64_t account_id, int64_t key_id, struct api_key *ret)
{
    bool found = false;
    enum status st = quota_check_own(ctx, &account_id);
    if (st == OK)
        st = quota_store_revoke_key(ctx, account_id, key_id, ret, &found);
    if (st == OK && !found)
        return fail_plain(ctx, API_KEY_NOT_FOUND);
    return st;
}
