-- Retention of readings, roll-off, and what is left of the time before an account's horizon. How it works is in
-- the migration counts_retention.

-- name: counts_get_policy :maybe
-- params: int8
-- row: counts_policy
SELECT retention_days, grain_seconds, horizon, announced_at
FROM counts_retention
WHERE account_id = $1;

-- Where something was rolled off already, grains may only become longer: what is left lies at the ends of the old ones.
-- name: counts_set_policy :maybe
-- params: int8, bool, int4, int4
-- row: counts_policy
INSERT INTO counts_retention AS r (account_id, retention_days, grain_seconds)
VALUES ($1, $3, coalesce($4, 3600))
ON CONFLICT (account_id) DO UPDATE
SET retention_days = CASE WHEN $2 THEN $3 ELSE r.retention_days END,
    grain_seconds = coalesce($4, r.grain_seconds), updated_at = now()
WHERE r.horizon = '-infinity' OR coalesce($4, r.grain_seconds) % r.grain_seconds = 0
RETURNING retention_days, grain_seconds, horizon, announced_at;

-- The horizon stays where it is until the end of the transaction; a later statement sees where.
-- name: counts_hold_horizon :one
-- params: int8
-- row: db_bool
-- write
SELECT pg_advisory_xact_lock_shared(luna_counts_horizon_key($1)) IS NOT NULL AS value;

-- Up to when nothing about a DPU can change any more: the horizon, when it had reported before.
-- name: counts_fixed_until :maybe
-- params: int8, int4
-- row: counts_edge
SELECT r.horizon AS at
FROM counts_retention r
WHERE r.account_id = $1 AND (
    EXISTS (SELECT FROM counts_dpu d WHERE d.account_id = $1 AND d.dpu_id = $2 AND d.rolled_until IS NOT NULL)
    OR EXISTS (SELECT FROM counts_reading x WHERE x.account_id = $1 AND x.dpu_id = $2 AND x.at < r.horizon));

-- ---- the work

-- name: counts_retained :many
-- params: int8
-- row: db_int8
-- system
-- bounded: by a hundred accounts
SELECT value FROM luna_counts_retained($1) value;

-- name: counts_due :one
-- params: int8
-- row: counts_edge
SELECT luna_counts_due($1) AS at;

-- name: counts_move_horizon :one
-- params: int8
-- row: counts_edge
-- write
-- idempotent
SELECT luna_counts_move_horizon($1) AS at;

-- name: counts_roll_off :one
-- params: int8, int4, int4
-- row: counts_rolling
-- write
-- idempotent
SELECT next_dpu, readings, sums, busy
FROM luna_counts_roll_off($1, $2, $3);

-- Behind the last of them: nothing is left before $2.
-- name: counts_rolled_off :exec
-- params: int8, timestamptz
UPDATE counts_retention SET done_until = $2 WHERE account_id = $1 AND horizon = $2;

-- name: counts_roll_off_plan :one
-- params: int8, int4, timestamptz
-- row: counts_rolling
SELECT next_dpu, readings, sums, false AS busy
FROM luna_counts_roll_off_plan($1, $2, $3);

-- ---- what is left

-- A space's history where raw readings are gone in part: one step for each sum that is left, and one for each reading
-- behind them.
-- name: counts_each_step :stream
-- params: int8, int8, timestamptz, timestamptz, timestamptz
-- row: counts_step
SELECT s.at, ((s.n + s.net) / 2)::bigint AS entrances, ((s.n - s.net) / 2)::bigint AS exits
FROM (
    SELECT k.upto AS at, k.n - lag(k.n, 1, base.n) OVER w AS n,
        p.sign * (k.net - lag(k.net, 1, base.net) OVER w) AS net
    FROM (SELECT row_number() OVER () AS nth, q.* FROM luna_counts_parts_known($1, $2, $5) q) p
    JOIN counts_dpu d ON d.account_id = $1 AND d.dpu_id = p.dpu_id
    CROSS JOIN LATERAL luna_counts_prefix($1, p.dpu_id, 'infinity', greatest(p.starts_at, $3)) base
    JOIN counts_checkpoint k ON k.account_id = $1 AND k.dpu_id = p.dpu_id AND k.filled
        AND k.upto >= p.starts_at AND k.upto >= $3 AND k.upto < p.ends_at AND k.upto < $4 AND k.upto < d.rolled_until
    WINDOW w AS (PARTITION BY p.nth ORDER BY k.upto)
    UNION ALL
    SELECT r.at, 1, p.sign * sign(r.tag)::bigint
    FROM luna_counts_parts_known($1, $2, $5) p
    CROSS JOIN LATERAL ( -- for each by index, whatever the statistics say: no join
        SELECT q.at, q.tag FROM counts_reading q
        WHERE q.account_id = $1 AND q.dpu_id = p.dpu_id AND q.at >= p.starts_at AND q.at < p.ends_at
            AND q.at >= $3 AND q.at < $4 AND q.received_at <= $5
        OFFSET 0
    ) r
) s
WHERE s.n > 0
ORDER BY s.at;

-- The first instant at which something is left of a space's readings that are gone.
-- name: counts_first_sum :one
-- params: int8, int8
-- row: counts_edge
SELECT min(head.upto) AS at
FROM luna_counts_parts($1, $2, 'infinity') p
JOIN counts_dpu d ON d.account_id = $1 AND d.dpu_id = p.dpu_id
CROSS JOIN LATERAL luna_counts_prefix($1, p.dpu_id, 'infinity', p.starts_at) base
CROSS JOIN LATERAL (
    SELECT k.upto FROM counts_checkpoint k
    WHERE k.account_id = $1 AND k.dpu_id = p.dpu_id AND k.upto >= p.starts_at AND k.upto < p.ends_at
        AND k.upto < d.rolled_until AND k.n > base.n
    ORDER BY k.upto LIMIT 1
) head;

-- What a space counted at its calibrations up to $3, oldest first.
-- name: counts_at_calibrations :many
-- params: int8, int8, timestamptz
-- row: counts_known_point
SELECT k.at, k.count AS known, k.deviation, c.count, c.entrances + c.exits AS passed
FROM (
    SELECT at, count, deviation
    FROM counts_calibration
    WHERE account_id = $1 AND space_id = $2 AND at <= $3
    ORDER BY at DESC
    LIMIT 1000
) k
CROSS JOIN LATERAL luna_counts_at($1, $2, k.at) c
ORDER BY k.at;
