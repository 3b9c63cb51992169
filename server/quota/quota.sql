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

-- name: quota_insert_key :one
-- params: int8, bytea, text, text, text[], text, timestamptz
-- row: db_int8
-- error: foreign ACCOUNT_NOT_FOUND
INSERT INTO api_key (account_id, key_hash, key_prefix, role, scopes, name, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING key_id AS value;
