-- The quota gate's side of Postgres: what the functions do is said in migrations/0008_quota_gate.

-- name: gate_limits :maybe
-- params: int8
-- row: gate_limits
-- system
SELECT account_capacity, account_unit_us, key_capacity, key_unit_us, concurrent_calls, report_only
FROM luna_quota_limits($1);

-- name: gate_open :one
-- params: int8, int8, int8
-- row: gate_opened
-- system
-- write
SELECT state, epoch, version, quota_limit, base, granted, grant_no, period_end
FROM luna_quota_open($1, $2, $3);

-- name: gate_settle :one
-- params: int8, int8, int8, text[], int8[], int8
-- row: gate_settled
-- system
-- write
-- idempotent
SELECT state, version, quota_limit, base, granted, grant_no, settled, added
FROM luna_quota_settle($1, $2, $3, $4, $5, $6);

-- name: gate_retire :one
-- params: int8, int8, int8, int8
-- row: db_int8
-- system
-- write
SELECT luna_quota_retire($1, $2, $3, $4) AS value;

-- name: gate_report :one
-- params: int8, int8, int8, int8[], text[], int8[], float8
-- row: db_int8
-- system
-- write
-- idempotent
SELECT luna_quota_report($1, $2, $3, $4, $5, $6, $7) AS value;

-- name: gate_alive :one
-- params: int8, int8
-- row: db_int8
-- system
-- write
-- idempotent
SELECT luna_quota_alive($1, $2) AS value;

-- name: gate_beat :many
-- params: int8, float8, float8
-- row: gate_task
-- system
-- write
-- idempotent
-- bounded: 320 rows by the limits in the function
SELECT kind, account_id, epoch FROM luna_quota_beat($1, $2, $3);

-- name: gate_leave :one
-- params: int8
-- row: db_int8
-- system
-- write
-- idempotent
SELECT luna_quota_leave($1) AS value;

-- name: gate_event :one
-- params: int8, text, jsonb
-- row: db_int8
-- system
-- write
SELECT luna_quota_event($1, $2, $3) AS value;
