-- What the layer itself says to Postgres.

-- Settings of a new session. Not by the `options` of the connection, which poolers refuse. A session keeps its plans,
-- and one made while a table was empty would read all of it once it is full: each statement goes by an index whatever
-- the statistics say. The price of the rare scan without one is not to start the JIT compiler.
-- name: db_session :one
-- params: text, text
-- row: db_text
-- write
SELECT set_config('statement_timeout', $1, false) ||
       set_config('idle_in_transaction_session_timeout', $2, false) ||
       set_config('enable_seqscan', 'off', false) ||
       set_config('jit', 'off', false) AS value;

-- Who is asking, for the rest of the transaction.
-- name: db_identity :one
-- params: text, text
-- row: db_text
SELECT set_config('luna.account', $1, true) || set_config('luna.role', $2, true) AS value;

-- name: db_begin_read_committed :exec
BEGIN ISOLATION LEVEL READ COMMITTED;

-- name: db_begin_repeatable_read :exec
BEGIN ISOLATION LEVEL REPEATABLE READ;

-- name: db_begin_serializable :exec
BEGIN ISOLATION LEVEL SERIALIZABLE;

-- name: db_ping :one
-- row: db_int8
SELECT 1::bigint AS value;

-- name: db_commit :exec
COMMIT;

-- name: db_rollback :exec
ROLLBACK;

-- name: db_listen :text
LISTEN;

-- name: db_unlisten :text
UNLISTEN;

-- name: migrate_session :text
SET client_min_messages = warning;

-- One migrator at a time; the number is arbitrary and this program's own.
-- name: migrate_lock :text
SELECT pg_advisory_lock(7306083951);

-- name: migrate_begin :text
BEGIN;

-- name: migrate_lock_timeout :text
SET LOCAL lock_timeout = '10s';

-- name: migrate_commit :text
COMMIT;

-- name: migrate_rollback :text
ROLLBACK;

-- name: migrate_create_table :text
CREATE TABLE IF NOT EXISTS schema_migration (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: migrate_table_exists :text
SELECT to_regclass('schema_migration') IS NOT NULL;

-- name: migrate_list :text
SELECT number, name, checksum FROM schema_migration ORDER BY number;

-- name: migrate_insert :text
-- params: int4, text, text
INSERT INTO schema_migration (number, name, checksum) VALUES ($1, $2, $3);

-- name: migrate_delete :text
-- params: int4
DELETE FROM schema_migration WHERE number = $1;
