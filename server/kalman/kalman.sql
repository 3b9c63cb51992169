-- Durable filters: see migrations/0003_kalman_filters.

-- name: kalman_insert_filter :one
-- params: int8, text, bytea
-- row: kalman_filter
-- error: kalman_filter_account_id_filter_id_key ALREADY_EXISTS_ERROR
-- error: foreign ACCOUNT_NOT_FOUND
INSERT INTO kalman_filter (account_id, filter_id, model)
VALUES ($1, $2, $3)
RETURNING account_id, filter_key, filter_id, generation, model, created_at, reset_at,
    0::bigint AS position, 0::bigint AS max_sequence;

-- name: kalman_get_filter :maybe
-- params: int8, text
-- row: kalman_filter
SELECT f.account_id, f.filter_key, f.filter_id, f.generation, f.model, f.created_at, f.reset_at,
    coalesce((SELECT max(o.position) FROM kalman_observation o
        WHERE o.account_id = f.account_id AND o.filter_key = f.filter_key
            AND o.generation = f.generation), 0) AS position,
    coalesce((SELECT max(o.sequence) FROM kalman_observation o
        WHERE o.account_id = f.account_id AND o.filter_key = f.filter_key
            AND o.generation = f.generation), 0) AS max_sequence
FROM kalman_filter f
WHERE f.account_id = $1 AND f.filter_id = $2;

-- To be read again behind the lock: what a statement that waited sees of other tables is older.
-- name: kalman_lock_filter :maybe
-- params: int8, text
-- row: db_int8
SELECT f.filter_key AS value
FROM kalman_filter f
WHERE f.account_id = $1 AND f.filter_id = $2
FOR UPDATE;

-- name: kalman_list_filters :many
-- params: int8, int8, int4
-- row: kalman_filter
SELECT f.account_id, f.filter_key, f.filter_id, f.generation, f.model, f.created_at, f.reset_at,
    coalesce((SELECT max(o.position) FROM kalman_observation o
        WHERE o.account_id = f.account_id AND o.filter_key = f.filter_key
            AND o.generation = f.generation), 0) AS position,
    0::bigint AS max_sequence
FROM kalman_filter f
WHERE f.account_id = $1 AND f.filter_key > $2
ORDER BY f.filter_key
LIMIT $3;

-- One observation each of several filters. A row comes back for those that were stored: its filter is of
-- that generation, its position follows the last one, its sequence number is free.
-- The filters' rows are locked first, in one order, as kalman_lock_filter does: whoever inserts first and
-- has his foreign key checked after it waits for one who waits for him.
-- name: kalman_append :many
-- params: int8[], int8[], int8[], int8[], int8[], float8[], bytea[]
-- row: kalman_appended
-- bounded: a row for each of the batch
-- write
-- error: foreign DB_CONFLICT
WITH i AS MATERIALIZED (
    SELECT *
    FROM unnest($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY
        AS i (account_id, filter_key, generation, position, sequence, time, numbers, ord)
    ORDER BY account_id, filter_key
), f AS MATERIALIZED (
    SELECT i.ord
    FROM i, LATERAL (
        SELECT generation FROM kalman_filter f
        WHERE f.account_id = i.account_id AND f.filter_key = i.filter_key
        FOR KEY SHARE
    ) f
    WHERE f.generation = i.generation
), stored AS (
    INSERT INTO kalman_observation
        (account_id, filter_key, generation, position, sequence, time, numbers)
    SELECT i.account_id, i.filter_key, i.generation, i.position, i.sequence, i.time, i.numbers
    FROM i
    WHERE i.ord IN (SELECT f.ord FROM f)
        AND (i.position = 1 OR i.position = 1 + (SELECT p.position FROM kalman_observation p
            WHERE p.account_id = i.account_id AND p.filter_key = i.filter_key
                AND p.generation = i.generation AND p.position = i.position - 1))
    ORDER BY i.account_id, i.filter_key
    ON CONFLICT DO NOTHING
    RETURNING filter_key, position
)
SELECT i.position, i.ord
FROM i JOIN stored USING (filter_key, position);

-- Several of one filter: all or none.
-- name: kalman_append_many :exec
-- params: int8, int8, int8, int8, int8[], float8[], bytea[]
-- error: unique DB_CONFLICT
-- error: foreign DB_CONFLICT
WITH f AS MATERIALIZED (
    SELECT generation FROM kalman_filter
    WHERE account_id = $1 AND filter_key = $2
    FOR KEY SHARE
)
INSERT INTO kalman_observation
    (account_id, filter_key, generation, position, sequence, time, numbers)
SELECT $1, $2, $3, $4 + i.ord, i.sequence, i.time, i.numbers
FROM unnest($5, $6, $7) WITH ORDINALITY AS i (sequence, time, numbers, ord)
WHERE $3 = (SELECT f.generation FROM f)
    AND ($4 = 0 OR $4 = (SELECT p.position FROM kalman_observation p
        WHERE p.account_id = $1 AND p.filter_key = $2 AND p.generation = $3 AND p.position = $4));

-- name: kalman_drop_checkpoints :exec
-- params: int8, int8, int8, float8, int8
DELETE FROM kalman_checkpoint
WHERE account_id = $1 AND filter_key = $2 AND generation = $3 AND (time, sequence) > ($4, $5);

-- Only if position $4 is there and is the observation $5: then the append before it in the transaction
-- has taken place.
-- name: kalman_add_checkpoints :exec
-- params: int8, int8, int8, int8, int8, int4, float8[], int8[], bytea[]
-- error: foreign DB_CONFLICT
INSERT INTO kalman_checkpoint
    (account_id, filter_key, generation, version, format, time, sequence, state)
SELECT $1, $2, $3, $4, $6, i.time, i.sequence, i.state
FROM unnest($7, $8, $9) AS i (time, sequence, state)
WHERE $5 = (SELECT o.sequence FROM kalman_observation o
    WHERE o.account_id = $1 AND o.filter_key = $2 AND o.generation = $3 AND o.position = $4)
ON CONFLICT (account_id, filter_key, generation, time, sequence)
DO UPDATE SET version = EXCLUDED.version, format = EXCLUDED.format, state = EXCLUDED.state;

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
    SET generation = generation + 1, reset_at = now()
    WHERE account_id = $1 AND filter_id = $2
    RETURNING account_id, filter_key, filter_id, generation, model, created_at, reset_at
), o AS (
    DELETE FROM kalman_observation o USING f
    WHERE o.account_id = f.account_id AND o.filter_key = f.filter_key
        AND o.generation < f.generation
), c AS (
    DELETE FROM kalman_checkpoint c USING f
    WHERE c.account_id = f.account_id AND c.filter_key = f.filter_key
        AND c.generation < f.generation
)
SELECT account_id, filter_key, filter_id, generation, model, created_at, reset_at,
    0::bigint AS position, 0::bigint AS max_sequence
FROM f;

-- name: kalman_delete_filter :exec
-- params: int8, text
DELETE FROM kalman_filter WHERE account_id = $1 AND filter_id = $2;
