#include "quota/quota_store.h"

#include "edge/list.h"
#include "quota/api_key.h"
#include "quota/quota.sql.h"

const struct db_col account_row[] = {
    DB_COL(struct account, account_id, DB_INT8),
    DB_COL(struct account, account_name, DB_TEXT),
    DB_COL(struct account, quota_limit, DB_INT8),
    DB_COL(struct account, quota_used, DB_INT8),
    DB_COL(struct account, created_at, DB_TIMESTAMPTZ),
    DB_COL(struct account, updated_at, DB_TIMESTAMPTZ),
    DB_END,
};

const struct db_col found_key_row[] = {
    DB_COL_NULLABLE(struct found_key, account_id, DB_INT8),
    DB_COL_NULLABLE(struct found_key, key_id, DB_INT8),
    DB_COL_NULLABLE(struct found_key, role, DB_TEXT),
    DB_COL_NULLABLE(struct found_key, scopes, DB_TEXT_ARRAY),
    DB_COL_OPT(struct found_key, expires_at, DB_TIMESTAMPTZ, has_expires_at),
    DB_COL_OPT(struct found_key, revoked_at, DB_TIMESTAMPTZ, has_revoked_at),
    DB_END,
};

const struct db_col api_key_row[] = {
    DB_COL(struct api_key, key_id, DB_INT8),
    DB_COL(struct api_key, account_id, DB_INT8),
    DB_COL(struct api_key, name, DB_TEXT),
    DB_COL(struct api_key, key_prefix, DB_TEXT),
    DB_COL(struct api_key, role, DB_TEXT),
    DB_COL(struct api_key, scopes, DB_TEXT_ARRAY),
    DB_COL(struct api_key, created_at, DB_TIMESTAMPTZ),
    DB_COL_OPT(struct api_key, expires_at, DB_TIMESTAMPTZ, has_expires_at),
    DB_COL_OPT(struct api_key, revoked_at, DB_TIMESTAMPTZ, has_revoked_at),
    DB_COL_OPT(struct api_key, last_used_at, DB_TIMESTAMPTZ, has_last_used_at),
    DB_COL_OPT(struct api_key, previous_expires_at, DB_TIMESTAMPTZ, has_previous_expires_at),
    DB_COL(struct api_key, updated_at, DB_TIMESTAMPTZ),
    DB_END,
};

struct found_account {
    int64_t account_id; /* 0: none */
};

const struct db_col found_account_row[] = {
    DB_COL_NULLABLE(struct found_account, account_id, DB_INT8),
    DB_END,
};

enum status
quota_store_find_key(struct ctx *ctx, const uint8_t *hash, struct found_key *ret, bool *ret_found)
{
    return db_maybe(ctx, &sql_quota_find_key, DB_ARGS(db_bytea(hash, API_KEY_HASH)), ret,
                    ret_found);
}

enum status
quota_store_find_account(struct ctx *ctx, const char *name, int64_t *ret_id)
{
    struct found_account row;
    enum status st =
        db_one(ctx, &sql_quota_find_account, DB_ARGS(db_text(name)), REASON_INTERNAL_ERROR, &row);
    if (st == OK)
        *ret_id = row.account_id;
    return st;
}

enum status
quota_store_touch_keys(struct ctx *ctx, const int64_t *account_ids, const int64_t *key_ids,
                       size_t n, int64_t *ret_touched)
{
    struct db_int8_value row;
    enum status st = db_one(ctx, &sql_quota_touch_keys,
                            DB_ARGS(db_int8_array(account_ids, n), db_int8_array(key_ids, n)),
                            REASON_INTERNAL_ERROR, &row);
    if (st == OK)
        *ret_touched = row.value;
    return st;
}

enum status
quota_store_get_account(struct ctx *ctx, int64_t account_id, struct account *ret)
{
    return db_one(ctx, &sql_quota_get_account, DB_ARGS(db_int8(account_id)),
                  REASON_ACCOUNT_NOT_FOUND, ret);
}

enum status
quota_store_account_by_name(struct ctx *ctx, const char *name, struct account *ret, bool *ret_found)
{
    return db_maybe(ctx, &sql_quota_account_by_name, DB_ARGS(db_text(name)), ret, ret_found);
}

enum status
quota_store_insert_account(struct ctx *ctx, const char *name, int64_t quota_limit,
                           struct account *ret)
{
    return db_one(ctx, &sql_quota_insert_account, DB_ARGS(db_text(name), db_int8(quota_limit)),
                  REASON_INTERNAL_ERROR, ret);
}

enum status
quota_store_insert_key(struct ctx *ctx, const struct new_key *key, struct api_key *ret)
{
    return db_one(ctx, &sql_quota_insert_key,
                  DB_ARGS(db_int8(key->account_id), db_bytea(key->hash, API_KEY_HASH),
                          db_text(key->prefix), db_text(quota_role_name(key->role)),
                          db_array_of(DB_TEXT_ARRAY, key->scopes, NULL, key->scope_count),
                          db_text(key->name), db_timestamptz_or_null(key->expires_at)),
                  REASON_INTERNAL_ERROR, ret);
}

enum status
quota_store_list_accounts(struct ctx *ctx, const struct list_request *list, struct account **ret,
                          size_t *ret_n, const char **ret_next)
{
    return list_rows(ctx, &sql_quota_list_accounts, DB_NO_ARGS, list, ret, ret_n, ret_next);
}

enum status
quota_store_update_account(struct ctx *ctx, const struct account_change *change,
                           struct account *ret, bool *ret_found)
{
    return db_maybe(ctx, &sql_quota_update_account,
                    DB_ARGS(db_int8(change->account_id), db_text(change->account_name),
                            db_opt(change->has_quota_limit, db_int8(change->quota_limit)),
                            db_opt(change->has_updated_at, db_timestamptz(change->updated_at))),
                    ret, ret_found);
}

enum status
quota_store_count_live_keys(struct ctx *ctx, int64_t account_id, int64_t *ret)
{
    struct db_int8_value row;
    enum status st = db_one(ctx, &sql_quota_count_live_keys, DB_ARGS(db_int8(account_id)),
                            REASON_INTERNAL_ERROR, &row);
    if (st == OK)
        *ret = row.value;
    return st;
}

enum status
quota_store_delete_account(struct ctx *ctx, int64_t account_id, usec_t updated_at, bool *ret_found)
{
    int64_t n = 0;
    enum status st = db_exec(ctx, &sql_quota_delete_account,
                             DB_ARGS(db_int8(account_id), db_timestamptz_or_null(updated_at)), &n);
    if (st == OK)
        *ret_found = n > 0;
    return st;
}

enum status
quota_store_list_keys(struct ctx *ctx, int64_t account_id, const struct list_request *list,
                      struct api_key **ret, size_t *ret_n, const char **ret_next)
{
    return list_rows(ctx, &sql_quota_list_keys, DB_ARGS(db_int8(account_id)), list, ret, ret_n,
                     ret_next);
}

enum status
quota_store_rotate_key(struct ctx *ctx, int64_t account_id, int64_t key_id, const uint8_t *hash,
                       const char *prefix, int32_t grace_seconds, usec_t updated_at,
                       struct api_key *ret, bool *ret_found)
{
    return db_maybe(ctx, &sql_quota_rotate_key,
                    DB_ARGS(db_int8(account_id), db_int8(key_id), db_bytea(hash, API_KEY_HASH),
                            db_text(prefix), db_int4(grace_seconds),
                            db_timestamptz_or_null(updated_at)),
                    ret, ret_found);
}

enum status
quota_store_lock_key(struct ctx *ctx, int64_t account_id, int64_t key_id, struct api_key *ret,
                     bool *ret_found)
{
    return db_maybe(ctx, &sql_quota_lock_key, DB_ARGS(db_int8(account_id), db_int8(key_id)), ret,
                    ret_found);
}

enum status
quota_store_update_key(struct ctx *ctx, const struct api_key *key, struct api_key *ret)
{
    return db_one(ctx, &sql_quota_update_key,
                  DB_ARGS(db_int8(key->account_id), db_int8(key->key_id), db_text(key->name),
                          db_array_of(DB_TEXT_ARRAY, key->scopes.texts, NULL, key->scopes.n),
                          db_opt(key->has_expires_at, db_timestamptz(key->expires_at))),
                  REASON_API_KEY_NOT_FOUND, ret);
}

enum status
quota_store_revoke_key(struct ctx *ctx, int64_t account_id, int64_t key_id, usec_t updated_at,
                       struct api_key *ret, bool *ret_found)
{
    return db_maybe(
        ctx, &sql_quota_revoke_key,
        DB_ARGS(db_int8(account_id), db_int8(key_id), db_timestamptz_or_null(updated_at)), ret,
        ret_found);
}

static const char *const role_names[] = {[ROLE_NONE] = "none",
                                         [ROLE_DEVICE] = "device",
                                         [ROLE_MEMBER] = "member",
                                         [ROLE_ADMIN] = "admin"};

const char *
quota_role_name(enum role role)
{
    return role_names[role];
}

enum role
quota_role_parse(const char *name)
{
    for (size_t r = ROLE_DEVICE; r < ARRAY_LEN(role_names); r++)
        if (str_eq(str_of(name), str_of(role_names[r])))
            return (enum role)r;
    return ROLE_NONE;
}
