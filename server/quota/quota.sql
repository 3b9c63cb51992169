-- Accounts and API keys. The rules of who sees which row are policies: see migrations/0001_accounts.

-- name: quota_find_key :maybe
-- params: bytea
-- row: found_key
-- system
SELECT account_id, key_id, role, scopes, expires_at, revoked_at
FROM luna_find_key($1);

-- name: quota_find_account :one
-- params: text
-- row: found_account
-- system
SELECT luna_find_account($1) AS account_id;

-- name: quota_touch_keys :one
-- params: int8[], int8[]
-- row: db_int8
-- system
-- write
-- idempotent
SELECT luna_touch_keys($1, $2) AS value;

-- name: quota_get_account :one
-- params: int8
-- row: account
SELECT account_id, account_name, quota_limit, quota_used, created_at, updated_at
FROM account
WHERE account_id = $1;

-- name: quota_account_by_name :maybe
-- params: text
-- row: account
SELECT account_id, account_name, quota_limit, quota_used, created_at, updated_at
FROM account
WHERE account_name = $1;

-- name: quota_insert_account :one
-- params: text, int8
-- row: account
-- error: account_account_name_key ACCOUNT_EXISTS
INSERT INTO account (account_name, quota_limit)
VALUES ($1, $2)
RETURNING account_id, account_name, quota_limit, quota_used, created_at, updated_at;

-- name: quota_list_accounts :many
-- params: int8, int8
-- row: account
-- list: account_id
-- column: account_id int8
-- column: account_name text
-- column: quota_limit int8
-- column: quota_used int8
-- column: created_at timestamptz
-- column: updated_at timestamptz
SELECT account_id, account_name, quota_limit, quota_used, created_at, updated_at
FROM account
WHERE /* where */
ORDER BY /* order */
LIMIT $1 OFFSET $2;

-- Each change has its own updated_at, also within one microsecond: it is the etag.
-- name: quota_update_account :maybe
-- params: int8, text, int8, timestamptz
-- row: account
-- error: account_account_name_key ACCOUNT_EXISTS
UPDATE account
SET account_name = coalesce($2, account_name),
    quota_limit = coalesce($3, quota_limit),
    updated_at = greatest(now(), updated_at + interval '1 us')
WHERE account_id = $1 AND ($4 IS NULL OR updated_at = $4)
RETURNING account_id, account_name, quota_limit, quota_used, created_at, updated_at;

-- name: quota_count_live_keys :one
-- params: int8
-- row: db_int8
SELECT count(*) AS value
FROM api_key
WHERE account_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now());

-- name: quota_delete_account :exec
-- params: int8, timestamptz
DELETE FROM account WHERE account_id = $1 AND ($2 IS NULL OR updated_at = $2);

-- name: quota_insert_key :one
-- params: int8, bytea, text, text, text[], text, timestamptz
-- row: api_key
-- error: foreign ACCOUNT_NOT_FOUND
INSERT INTO api_key (account_id, key_hash, key_prefix, role, scopes, name, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING key_id, account_id, name, key_prefix, role, scopes, created_at, expires_at, revoked_at,
    last_used_at, previous_expires_at, updated_at;

-- name: quota_list_keys :many
-- params: int8, int8, int8
-- row: api_key
-- list: key_id
-- column: key_id int8
-- column: name text
-- column: prefix text as key_prefix = key_prefix
-- column: role text nosort values ROLE_DEVICE=device,ROLE_MEMBER=member,ROLE_ADMIN=admin
-- column: scopes text[] nosort
-- column: created_at timestamptz
-- column: expires_at timestamptz null
-- column: revoked_at timestamptz null
-- column: last_used_at timestamptz null
-- column: previous_expires_at timestamptz null
SELECT key_id, account_id, name, key_prefix, role, scopes, created_at, expires_at, revoked_at,
    last_used_at, previous_expires_at, updated_at
FROM api_key
WHERE account_id = $1 AND /* where */
ORDER BY /* order */
LIMIT $2 OFFSET $3;

-- name: quota_lock_key :maybe
-- params: int8, int8
-- row: api_key
SELECT key_id, account_id, name, key_prefix, role, scopes, created_at, expires_at, revoked_at,
    last_used_at, previous_expires_at, updated_at
FROM api_key
WHERE account_id = $1 AND key_id = $2
FOR UPDATE;

-- name: quota_update_key :one
-- params: int8, int8, text, text[], timestamptz
-- row: api_key
UPDATE api_key
SET name = $3, scopes = $4, expires_at = $5, updated_at = greatest(now(), updated_at + interval '1 us')
WHERE account_id = $1 AND key_id = $2
RETURNING key_id, account_id, name, key_prefix, role, scopes, created_at, expires_at, revoked_at,
    last_used_at, previous_expires_at, updated_at;

-- name: quota_rotate_key :maybe
-- params: int8, int8, bytea, text, int4, timestamptz
-- row: api_key
UPDATE api_key
SET updated_at = greatest(now(), updated_at + interval '1 us'),
    previous_hash = CASE WHEN $5 > 0 THEN key_hash END,
    previous_expires_at = CASE WHEN $5 > 0 THEN now() + make_interval(secs => $5) END,
    key_hash = $3,
    key_prefix = $4
WHERE account_id = $1 AND key_id = $2 AND revoked_at IS NULL AND ($6 IS NULL OR updated_at = $6)
RETURNING key_id, account_id, name, key_prefix, role, scopes, created_at, expires_at, revoked_at,
    last_used_at, previous_expires_at, updated_at;

-- name: quota_revoke_key :maybe
-- params: int8, int8, timestamptz
-- row: api_key
UPDATE api_key
SET revoked_at = coalesce(revoked_at, now()),
    updated_at = CASE WHEN revoked_at IS NULL THEN greatest(now(), updated_at + interval '1 us') ELSE updated_at END,
    previous_hash = NULL,
    previous_expires_at = NULL
WHERE account_id = $1 AND key_id = $2 AND ($3 IS NULL OR updated_at = $3)
RETURNING key_id, account_id, name, key_prefix, role, scopes, created_at, expires_at, revoked_at,
    last_used_at, previous_expires_at, updated_at;
