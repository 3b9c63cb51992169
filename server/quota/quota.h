/*
 * Accounts and API keys: who may use Luna, and how much.
 *
 * Thread: quota_open and quota_close: main's, around everything else. The rest: a reactor's.
 */
#ifndef LUNA_QUOTA_QUOTA_H
#define LUNA_QUOTA_QUOTA_H

#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "db/db.h"
#include "run/ctx.h"

struct config;
struct list_request;
struct reactor;
struct rpc_service;

extern const struct db_sql quota_sql;
extern const struct db_sql quota_limits_sql;
extern const struct rpc_service quota_service;
extern const struct rpc_service limiter_service;
extern const struct rpc_service envoy_service_ratelimit_v3_rate_limit_service;

#define QUOTA_DEFAULT_LIMIT 500
#define QUOTA_MAX_NAME      100 /* characters of an account_name */

/* For how long a key is believed without asking the database: a revoked key, or one whose account
 * was deleted, may be used on a server for this long. An expired one ends at its time. */
#define QUOTA_KEY_TTL SEC(5)

struct account {
    int64_t account_id;
    const char *account_name;
    int64_t quota_limit;
    int64_t quota_used;
    usec_t created_at;
    usec_t updated_at;
};

/* What quota_update changes; NULL or false: it stays. */
struct account_change {
    int64_t account_id;
    const char *account_name;
    bool has_quota_limit;
    int64_t quota_limit;
    bool has_updated_at; /* only while it is this one: the etag */
    usec_t updated_at;
};

/* An API key without its secret. */
struct api_key {
    int64_t key_id;
    int64_t account_id;
    const char *name;
    const char *key_prefix;
    const char *role; /* "admin", "member", "device" */
    struct db_array scopes;
    usec_t created_at;
    bool has_expires_at;
    usec_t expires_at;
    bool has_revoked_at;
    usec_t revoked_at;
    bool has_last_used_at;
    usec_t last_used_at;
    bool has_previous_expires_at;
    usec_t previous_expires_at;
    usec_t updated_at; /* the etag; use does not change it */
};

#define QUOTA_MAX_PAGE_SIZE 1000

/* Reads key_secret and anonymous_account. False: `err` holds one line. */
bool quota_open(const struct config *cfg, char *err, size_t err_size);
void quota_close(void);

/* The reactor's memory of keys (SLOT_QUOTA). After db_attach; detached when its fibers have ended.
 */
void quota_attach(struct reactor *r);
void quota_detach(struct reactor *r);

/*
 * Who holds `token`, an API key. Good keys and wrong ones are remembered for QUOTA_KEY_TTL; a key
 * in use is read again in the second half of that time, so that a short absence of the database is
 * not seen. `may_look_up` false: only what is remembered counts, RATE_LIMITED otherwise. A mistyped
 * key costs no look-up. *ret->scopes lives in ctx's arena. Suspends: may. Fails: BAD_CREDENTIALS
 * (unknown, mistyped, revoked), EXPIRED_CREDENTIALS, RATE_LIMITED, DB_...
 */
enum status quota_authenticate(struct ctx *ctx, struct str token, bool may_look_up,
                               struct identity *ret) WARN_UNUSED;

/* The account that anonymous_account names, with the role member. Suspends: may.
 * Fails: NO_CREDENTIALS when there is none, DB_... */
enum status quota_anonymous(struct ctx *ctx, struct identity *ret) WARN_UNUSED;

/* The account `account_id`, 0: the caller's own. Suspends: once.
 * Fails: BAD_FIELD, ACCOUNT_NOT_FOUND (also for another caller's, unless he is an admin). */
enum status quota_account(struct ctx *ctx, int64_t account_id, struct account *ret) WARN_UNUSED;

/* An account of this name. Suspends: once. Fails: BAD_FIELD, ACCOUNT_EXISTS. */
enum status quota_create(struct ctx *ctx, const char *name, int64_t quota_limit,
                         struct account *ret) WARN_UNUSED;

/* A page of accounts. Suspends: once. Fails: as list_rows. */
enum status quota_list(struct ctx *ctx, const struct list_request *list, struct account **ret,
                       size_t *ret_n, const char **ret_next) WARN_UNUSED;

/* Suspends: up to twice. Fails: BAD_FIELD, ACCOUNT_NOT_FOUND, ACCOUNT_EXISTS, CHANGED_MEANWHILE. */
enum status quota_update(struct ctx *ctx, const struct account_change *change,
                         struct account *ret) WARN_UNUSED;

/* With its keys. updated_at: only while it is this one; 0: in any case. Suspends: may. Fails:
 * ACCOUNT_NOT_FOUND, CHANGED_MEANWHILE, IN_USE (the caller's own account; keys that work, unless
 * `force`). */
enum status quota_delete(struct ctx *ctx, int64_t account_id, bool force,
                         usec_t updated_at) WARN_UNUSED;

/* The etag of what was last changed then, and back. False: not one. */
const char *quota_etag(struct arena *a, usec_t updated_at);
bool quota_etag_parse(const char *etag, usec_t *ret_updated_at);

struct key_request {
    int64_t account_id; /* 0: the caller's own */
    const char *name;
    enum role role;
    const char *const *scopes;
    size_t scope_count;
    bool has_expires_at;
    usec_t expires_at;
};

/* Makes a key; *ret_secret, in ctx's arena, is its text. Suspends: once.
 * Fails: BAD_FIELD, ACCOUNT_NOT_FOUND. */
enum status quota_key_create(struct ctx *ctx, const struct key_request *req, struct api_key *ret,
                             const char **ret_secret) WARN_UNUSED;

/* Suspends: up to twice. Fails: ACCOUNT_NOT_FOUND; as list_rows. */
enum status quota_key_list(struct ctx *ctx, int64_t account_id, const struct list_request *list,
                           struct api_key **ret, size_t *ret_n, const char **ret_next) WARN_UNUSED;

/* For a transaction that changes the key: it is locked until its end. Suspends: once. Fails:
 * ACCOUNT_NOT_FOUND, API_KEY_NOT_FOUND (also when it is revoked). */
enum status quota_key_lock(struct ctx *ctx, int64_t account_id, int64_t key_id,
                           struct api_key *ret) WARN_UNUSED;
/* Gives the key `key` its name, scopes and end. Suspends: once. Fails: as db/db.h says. */
enum status quota_key_update(struct ctx *ctx, const struct api_key *key,
                             struct api_key *ret) WARN_UNUSED;

/* updated_at: only while it is this one; 0: in any case. Suspends: up to twice.
 * Fails: BAD_FIELD, API_KEY_NOT_FOUND, CHANGED_MEANWHILE. */
enum status quota_key_rotate(struct ctx *ctx, int64_t account_id, int64_t key_id,
                             int32_t grace_seconds, usec_t updated_at, struct api_key *ret,
                             const char **ret_secret) WARN_UNUSED;
/* The same. Also for a key that is revoked: then nothing is done. */
enum status quota_key_revoke(struct ctx *ctx, int64_t account_id, int64_t key_id, usec_t updated_at,
                             struct api_key *ret) WARN_UNUSED;

/*
 * `luna-server admin create-account NAME [--admin] [--if-missing]`: makes the account and a key of
 * it with the role member (or admin), and prints "account: <id>" and "key: <key>" to `out`. With
 * `if_missing` an account of that name is taken as it is, and only gets the new key: a key cannot
 * be shown twice. Suspends: may. Fails: BAD_FIELD, ACCOUNT_EXISTS, DB_...
 */
enum status quota_admin_create_account(struct ctx *ctx, const char *name, bool admin,
                                       bool if_missing, FILE *out) WARN_UNUSED;

#endif
