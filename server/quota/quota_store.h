/* Rows of accounts and API keys, and the functions that read and write them. Suspends: once each.
 */
#ifndef LUNA_QUOTA_QUOTA_STORE_H
#define LUNA_QUOTA_QUOTA_STORE_H

#include "base/clock.h"
#include "db/db.h"
#include "quota/quota.h"

/* What the database knows of a key hash. */
struct found_key {
    int64_t account_id;
    int64_t key_id;
    const char *role; /* "admin", "member", "device" */
    struct db_array scopes;
    usec_t expires_at;
    bool has_expires_at;
    usec_t revoked_at;
    bool has_revoked_at;
};

/* Whoever asks. */
enum status quota_store_find_key(struct ctx *ctx, const uint8_t *hash, struct found_key *ret,
                                 bool *ret_found) WARN_UNUSED;

/* The account of this name, whoever asks. *ret_id 0: there is none. */
enum status quota_store_find_account(struct ctx *ctx, const char *name,
                                     int64_t *ret_id) WARN_UNUSED;

/* Notes that these keys were used; *ret_touched of them were not noted in this minute yet. */
enum status quota_store_touch_keys(struct ctx *ctx, const int64_t *account_ids,
                                   const int64_t *key_ids, size_t n,
                                   int64_t *ret_touched) WARN_UNUSED;

/* As ctx->who may see it. Fails: ACCOUNT_NOT_FOUND. */
enum status quota_store_get_account(struct ctx *ctx, int64_t account_id,
                                    struct account *ret) WARN_UNUSED;
enum status quota_store_account_by_name(struct ctx *ctx, const char *name, struct account *ret,
                                        bool *ret_found) WARN_UNUSED;

/* Fails: ACCOUNT_EXISTS. */
enum status quota_store_insert_account(struct ctx *ctx, const char *name, int64_t quota_limit,
                                       struct account *ret) WARN_UNUSED;

struct new_key {
    int64_t account_id;
    const uint8_t *hash; /* API_KEY_HASH bytes */
    const char *prefix;
    enum role role;
    const char *const *scopes;
    size_t scope_count;
    const char *name;
    usec_t expires_at; /* 0: never */
};

/* Fails: ACCOUNT_NOT_FOUND. */
enum status quota_store_insert_key(struct ctx *ctx, const struct new_key *key,
                                   struct api_key *ret) WARN_UNUSED;

/* Fails: as list_rows. */
enum status quota_store_list_accounts(struct ctx *ctx, const struct list_request *list,
                                      struct account **ret, size_t *ret_n,
                                      const char **ret_next) WARN_UNUSED;

/* *ret_found false: there is none, or its updated_at is another one. Fails: ACCOUNT_EXISTS. */
enum status quota_store_update_account(struct ctx *ctx, const struct account_change *change,
                                       struct account *ret, bool *ret_found) WARN_UNUSED;

enum status quota_store_count_live_keys(struct ctx *ctx, int64_t account_id,
                                        int64_t *ret) WARN_UNUSED;

/* For these: updated_at 0: whichever it is. *ret_found false: there is none, or its updated_at is
 * another one. */
enum status quota_store_delete_account(struct ctx *ctx, int64_t account_id, usec_t updated_at,
                                       bool *ret_found) WARN_UNUSED;
enum status quota_store_revoke_key(struct ctx *ctx, int64_t account_id, int64_t key_id,
                                   usec_t updated_at, struct api_key *ret,
                                   bool *ret_found) WARN_UNUSED;

/* Fails: as list_rows. */
enum status quota_store_list_keys(struct ctx *ctx, int64_t account_id,
                                  const struct list_request *list, struct api_key **ret,
                                  size_t *ret_n, const char **ret_next) WARN_UNUSED;
enum status quota_store_rotate_key(struct ctx *ctx, int64_t account_id, int64_t key_id,
                                   const uint8_t *hash, const char *prefix, int32_t grace_seconds,
                                   usec_t updated_at, struct api_key *ret,
                                   bool *ret_found) WARN_UNUSED;
enum status quota_store_lock_key(struct ctx *ctx, int64_t account_id, int64_t key_id,
                                 struct api_key *ret, bool *ret_found) WARN_UNUSED;
enum status quota_store_update_key(struct ctx *ctx, const struct api_key *key,
                                   struct api_key *ret) WARN_UNUSED;

const char *quota_role_name(enum role role);
enum role quota_role_parse(const char *name); /* ROLE_NONE: no such role */

#endif
