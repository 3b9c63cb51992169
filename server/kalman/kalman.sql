-- Durable filters: see migrations/0003_kalman_filters.

-- name: kalman_insert_filter :one
-- params: int8, text, bytea
-- row: kalman_filter
-- error: kalman_filter_account_id_filter_id_key ALREADY_EXISTS_ERROR
-- error: foreign ACCOUNT_NOT_FOUND
INSERT INTO kalman_filter (account_id, filter_id, model)
VALUES ($1, $2, $3)
RETURNING account_id, filter_key, filter_id, generation, model, created_at, reset_at, position, max_sequence;

-- name: kalman_get_filter :maybe
-- params: int8, text
-- row: kalman_filter
SELECT f.account_id, f.filter_key, f.filter_id, f.generation, f.model, f.created_at, f.reset_at,
    f.position, f.max_sequence
FROM kalman_filter f
WHERE f.account_id = $1 AND f.filter_id = $2;

-- name: kalman_lock_filter :maybe
-- params: int8, text
-- row: kalman_filter
SELECT f.account_id, f.filter_key, f.filter_id, f.generation, f.model, f.created_at, f.reset_at,
    f.position, f.max_sequence
FROM kalman_filter f
WHERE f.account_id = $1 AND f.filter_id = $2
FOR UPDATE;

-- name: kalman_list_filters :many
-- params: int8, int8, int4
-- row: kalman_filter
SELECT f.account_id, f.filter_key, f.filter_id, f.generation, f.model, f.created_at, f.reset_at,
    f.position, f.max_sequence
FROM kalman_filter f
WHERE f.account_id = $1 AND f.filter_key > $2
ORDER BY f.filter_key
LIMIT $3;

-- See luna_kalman_append.
-- name: kalman_append :one
-- params: int8[], int8[], int8[], int8[], int8[], int8[], int8[], int8[], int8[], float8[], bytea[], int8[], float8[], int8[], int8[], float8[], int8[], bytea[], int4
-- row: kalman_stored
-- system
-- write
SELECT luna_kalman_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
    AS appends;

-- The last one before (time, sequence) that is made of positions up to $4.
-- name: kalman_find_checkpoint :maybe
-- params: int8, int8, int8, int8, int4, float8, int8
-- row: kalman_checkpoint
SELECT time, sequence, state
FROM kalman_checkpoint
WHERE account_id = $1 AND filter_key = $2 AND generation = $3 AND version <= $4 AND format = $5
    AND (time, sequence) < ($6, $7)
ORDER BY time DESC, sequence DESC
LIMIT 1;

-- The observations behind (time, sequence), in order of time, among positions up to $4.
-- name: kalman_read_log :one
-- params: int8, int8, int8, int8, float8, int8, int4
-- row: kalman_log
SELECT coalesce(array_agg(o.time), '{}') AS times,
    coalesce(array_agg(o.sequence), '{}') AS sequences,
    coalesce(string_agg(o.numbers, ''::bytea), ''::bytea) AS numbers
FROM (
    SELECT time, sequence, numbers
    FROM kalman_observation
    WHERE account_id = $1 AND filter_key = $2 AND generation = $3 AND position <= $4
        AND (time, sequence) > ($5, $6)
    ORDER BY time, sequence
    LIMIT $7
) o;

-- name: kalman_find_sequences :many
-- params: int8, int8, int8, int8[]
-- row: kalman_observation
-- bounded: by the array
SELECT sequence, time, numbers
FROM kalman_observation
WHERE account_id = $1 AND filter_key = $2 AND generation = $3 AND sequence = ANY ($4);

-- name: kalman_reset_filter :maybe
-- params: int8, text
-- row: kalman_filter
WITH f AS (
    UPDATE kalman_filter
    SET generation = generation + 1, reset_at = now(), position = 0, max_sequence = 0
    WHERE account_id = $1 AND filter_id = $2
    RETURNING account_id, filter_key, filter_id, generation, model, created_at, reset_at, position,
        max_sequence
), o AS (
    DELETE FROM kalman_observation o USING f
    WHERE o.account_id = f.account_id AND o.filter_key = f.filter_key
        AND o.generation < f.generation
), c AS (
    DELETE FROM kalman_checkpoint c USING f
    WHERE c.account_id = f.account_id AND c.filter_key = f.filter_key
        AND c.generation < f.generation
)
SELECT account_id, filter_key, filter_id, generation, model, created_at, reset_at, position, max_sequence
FROM f;

-- name: kalman_delete_filter :exec
-- params: int8, text
DELETE FROM kalman_filter WHERE account_id = $1 AND filter_id = $2;
