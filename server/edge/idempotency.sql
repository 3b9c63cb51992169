-- Idempotency keys: see edge/idempotency.h.

-- name: idempotency_find :maybe
-- params: int8, bytea
-- row: idempotent_call
SELECT request_hash, answer
FROM idempotent_call
WHERE account_id = $1 AND key_hash = $2 AND expires_at > now();

-- One call at a time for a key, until the end of its transaction.
-- name: idempotency_lock :one
-- params: int8
-- row: db_bool
-- write
SELECT pg_try_advisory_xact_lock($1) AS value;

-- name: idempotency_purge :exec
-- params: int8
DELETE FROM idempotent_call
WHERE account_id = $1 AND key_hash IN (
    SELECT key_hash FROM idempotent_call
    WHERE account_id = $1 AND expires_at <= now()
    ORDER BY expires_at
    LIMIT 32
    FOR UPDATE SKIP LOCKED);

-- Nothing happens when the key is taken.
-- name: idempotency_claim :exec
-- params: int8, bytea, bytea, bytea, int8
INSERT INTO idempotent_call (account_id, key_hash, request_hash, answer, expires_at)
VALUES ($1, $2, $3, $4, now() + $5 * interval '1 us')
ON CONFLICT (account_id, key_hash) DO UPDATE
SET request_hash = excluded.request_hash, answer = excluded.answer, created_at = now(),
    expires_at = excluded.expires_at
WHERE idempotent_call.expires_at <= now();

-- name: idempotency_finish :exec
-- params: int8, bytea, bytea
UPDATE idempotent_call SET answer = $3 WHERE account_id = $1 AND key_hash = $2 AND answer IS NULL;

-- name: idempotency_forget :exec
-- params: int8, bytea
DELETE FROM idempotent_call WHERE account_id = $1 AND key_hash = $2 AND answer IS NULL;
