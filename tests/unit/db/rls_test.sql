-- What an application without its own filter would say: these name no account at all.

-- name: r_accounts :many
-- row: r_account
SELECT account_id, account_name FROM account ORDER BY account_id LIMIT 100;

-- name: r_keys :many
-- row: db_int8
SELECT account_id AS value FROM api_key ORDER BY account_id, key_id LIMIT 100;

-- name: r_accounts_system :many
-- row: r_account
-- system
SELECT account_id, account_name FROM account ORDER BY account_id LIMIT 100;

-- name: r_raise_limit :exec
UPDATE account SET quota_limit = 1000000;

-- name: r_delete_keys :exec
DELETE FROM api_key;

-- name: r_insert_account :exec
-- params: text
-- error: account_account_name_key ACCOUNT_EXISTS
INSERT INTO account (account_name) VALUES ($1);

-- name: r_steal :exec
-- params: int8, bytea
INSERT INTO api_key (account_id, key_hash, key_prefix, role) VALUES ($1, $2, 'luna_x', 'admin');

-- name: r_find_key :maybe
-- params: bytea
-- row: r_key
-- system
SELECT account_id, key_id, role, scopes, expires_at, revoked_at FROM luna_find_key($1);

-- name: r_find_account :one
-- params: text
-- row: r_found
-- system
SELECT luna_find_account($1) AS account_id;

-- name: r_touch_keys :one
-- params: int8[], int8[]
-- row: db_int8
-- system
-- write
SELECT luna_touch_keys($1, $2) AS value;
