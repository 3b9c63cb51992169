-- Statements of the tests of server/db. Tables: see make_tables in db_tables.h.

-- name: t_select_one :one
-- params: int8
-- row: db_int8
SELECT $1 AS value;

-- name: t_divide :one
-- params: int8, int8
-- row: db_int8
SELECT $1 / $2 AS value;

-- name: t_whoami :one
-- row: t_identity
SELECT coalesce(current_setting('luna.account', true), '') AS account,
       coalesce(current_setting('luna.role', true), '') AS role;

-- name: t_whoami_system :one
-- row: t_identity
-- system
SELECT coalesce(current_setting('luna.account', true), '') AS account,
       coalesce(current_setting('luna.role', true), '') AS role;

-- name: t_item_get :maybe
-- params: int8
-- row: t_item
SELECT id, label, weight FROM item WHERE id = $1;

-- name: t_item_need :one
-- params: int8
-- row: t_item
SELECT id, label, weight FROM item WHERE id = $1;

-- name: t_item_by_label :maybe
-- params: text
-- row: t_item
SELECT id, label, weight FROM item WHERE label = $1;

-- name: t_item_list :many
-- params: int4
-- row: t_item
SELECT id, label, weight FROM item ORDER BY id LIMIT $1;

-- name: t_item_insert :exec
-- params: int8, text, float8
-- error: item_label_key ACCOUNT_EXISTS
INSERT INTO item (id, label, weight) VALUES ($1, $2, $3);

-- name: t_item_insert_plain :exec
-- params: int8, text
INSERT INTO item (id, label) VALUES ($1, $2);

-- name: t_item_insert_again :exec
-- params: int8, text
-- idempotent
INSERT INTO item (id, label) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: t_item_add :one
-- params: int8, float8
-- row: t_item
UPDATE item SET weight = coalesce(weight, 0) + $2 WHERE id = $1 RETURNING id, label, weight;

-- name: t_item_delete :exec
-- params: int8
DELETE FROM item WHERE id >= $1;

-- name: t_item_count :one
-- row: db_int8
SELECT count(*) AS value FROM item;

-- name: t_item_sum :one
-- row: db_int8
SELECT coalesce(sum(weight), 0)::bigint AS value FROM item;

-- name: t_part_insert :exec
-- params: int8, int8
INSERT INTO part (part_id, item_id) VALUES ($1, $2);

-- A foreign key that is looked at when the transaction commits.
-- name: t_late_insert :exec
-- params: int8
INSERT INTO late (item_id) VALUES ($1);

-- name: t_sleep :one
-- params: float8
-- row: db_text
SELECT pg_sleep($1)::text AS value;

-- name: t_sleep_write :exec
-- params: float8, int8
-- write
INSERT INTO item (id, label) SELECT $2, 'slept ' || $2 || pg_sleep($1)::text;

-- name: t_backend :one
-- row: db_int8
SELECT pg_backend_pid()::bigint AS value;

-- name: t_big :one
-- params: int4
-- row: db_text
SELECT repeat('x', $1) AS value;

-- name: t_series :many
-- params: int8
-- row: db_int8
SELECT i AS value FROM generate_series(1, $1) i LIMIT 1000000;

-- name: t_stream :stream
-- params: int8, int4
-- row: t_item
SELECT i AS id, repeat('y', $2) AS label, i / 2.0::float8 AS weight FROM generate_series(1, $1) i;

-- name: t_stream_breaks :stream
-- params: int8
-- row: db_int8
SELECT 100 / ($1 - i) AS value FROM generate_series(1, $1) i;

-- name: t_stream_who :stream
-- row: db_text
SELECT current_setting('luna.account', true) AS value;

-- name: t_copy :copy
-- params: int8, text, float8
COPY item (id, label, weight) FROM STDIN (FORMAT binary);

-- name: t_notify :exec
-- params: text, text
-- write
SELECT pg_notify($1, $2);

-- name: t_gather :exec
-- params: int8[], text[]
INSERT INTO item (id, label) SELECT * FROM unnest($1, $2);

-- name: t_gather_system :exec
-- params: int8[], text[]
-- system
INSERT INTO item (id, label) SELECT * FROM unnest($1, $2);

-- name: t_gather_rows :many
-- params: int8[], text[]
-- row: t_item
-- bounded: one row a row given
WITH src AS (SELECT * FROM unnest($1, $2) WITH ORDINALITY AS u(id, label, ord)),
     ins AS (INSERT INTO item (id, label) SELECT id, label FROM src ON CONFLICT (id) DO NOTHING
             RETURNING id, label, weight)
SELECT src.ord, ins.id, ins.label, ins.weight FROM src JOIN ins USING (id);

-- name: t_types :one
-- params: bool, int2, int4, int8, float4, float8, text, bytea, uuid, timestamptz, date, jsonb
-- row: t_types
SELECT $1 AS b, $2 AS i2, $3 AS i4, $4 AS i8, $5 AS f4, $6 AS f8, $7 AS t, $8 AS bytes, $9 AS u,
       $10 AS ts, $11 AS d, $12 AS j;

-- name: t_arrays :one
-- params: bool[], int2[], int4[], int8[], float4[], float8[], text[], bytea[], uuid[], timestamptz[], date[], jsonb[]
-- row: t_arrays
SELECT $1 AS b, $2 AS i2, $3 AS i4, $4 AS i8, $5 AS f4, $6 AS f8, $7 AS t, $8 AS bytes, $9 AS u,
       $10 AS ts, $11 AS d, $12 AS j;

-- name: t_null_number :one
-- row: db_int8
SELECT NULL::bigint AS value;

-- name: t_counter_read :one
-- params: int8
-- row: db_int8
SELECT n AS value FROM counter WHERE id = $1;

-- name: t_counter_write :exec
-- params: int8, int8
UPDATE counter SET n = $2 WHERE id = $1;

-- name: t_replica_read :one
-- row: db_text
-- replica
SELECT current_database()::text AS value;

-- name: t_raise :exec
-- params: text
-- write
SELECT raise_state($1);

-- name: t_raise_own :exec
-- params: text
-- write
-- error: LU001 QUOTA_SPENT
-- error: 53100 RATE_LIMITED
SELECT raise_state($1);

-- name: t_item_ids :many
-- row: db_int8
SELECT id AS value FROM item LIMIT 1000000;

-- Transactions of which one half is there.
-- name: t_part_orphans :many
-- row: db_int8
SELECT id AS value FROM item
WHERE label LIKE 'tx %' AND id NOT IN (SELECT item_id FROM part) LIMIT 100;
