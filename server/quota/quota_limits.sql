-- Plans, usage, events and reservations.

-- name: quota_insert_plan :one
-- params: text, int8, text, int8, int8, int8, int8, int8, bool
-- row: plan
-- error: plan_plan_name_key PLAN_EXISTS
INSERT INTO plan (plan_name, quota_limit, quota_period, account_capacity, account_unit_us, key_capacity,
    key_unit_us, concurrent_calls, report_only)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING plan_id, plan_name, quota_limit, quota_period, account_capacity, account_unit_us, key_capacity,
    key_unit_us, concurrent_calls, report_only, created_at, updated_at;

-- name: quota_get_plan :one
-- params: int8
-- row: plan
SELECT plan_id, plan_name, quota_limit, quota_period, account_capacity, account_unit_us, key_capacity,
    key_unit_us, concurrent_calls, report_only, created_at, updated_at
FROM plan
WHERE plan_id = $1;

-- name: quota_lock_plan :one
-- params: int8
-- row: plan
SELECT plan_id, plan_name, quota_limit, quota_period, account_capacity, account_unit_us, key_capacity,
    key_unit_us, concurrent_calls, report_only, created_at, updated_at
FROM plan
WHERE plan_id = $1
FOR UPDATE;

-- name: quota_list_plans :many
-- params: int8, int8
-- row: plan
-- list: plan_id
-- column: plan_id int8
-- column: plan_name text
-- column: quota_limit int8
SELECT plan_id, plan_name, quota_limit, quota_period, account_capacity, account_unit_us, key_capacity,
    key_unit_us, concurrent_calls, report_only, created_at, updated_at
FROM plan
WHERE /* where */
ORDER BY /* order */
LIMIT $1 OFFSET $2;

-- name: quota_update_plan :one
-- params: int8, text, int8, text, int8, int8, int8, int8, int8, bool
-- row: plan
-- error: plan_plan_name_key PLAN_EXISTS
UPDATE plan
SET plan_name = $2, quota_limit = $3, quota_period = $4, account_capacity = $5, account_unit_us = $6,
    key_capacity = $7, key_unit_us = $8, concurrent_calls = $9, report_only = $10,
    updated_at = greatest(now(), updated_at + interval '1 us')
WHERE plan_id = $1
RETURNING plan_id, plan_name, quota_limit, quota_period, account_capacity, account_unit_us, key_capacity,
    key_unit_us, concurrent_calls, report_only, created_at, updated_at;

-- name: quota_delete_plan :exec
-- params: int8, timestamptz
-- error: foreign IN_USE
DELETE FROM plan WHERE plan_id = $1 AND ($2 IS NULL OR updated_at = $2);

-- name: quota_set_plan :maybe
-- params: int8, int8, timestamptz
-- row: account
-- error: foreign PLAN_NOT_FOUND
UPDATE account
SET plan_id = nullif($2, 0),
    quota_limit = coalesce((SELECT p.quota_limit FROM plan p WHERE p.plan_id = $2), quota_limit),
    quota_period = coalesce((SELECT p.quota_period FROM plan p WHERE p.plan_id = $2), 'total'),
    updated_at = greatest(now(), updated_at + interval '1 us')
WHERE account_id = $1 AND ($3 IS NULL OR updated_at = $3)
RETURNING account_id, account_name, quota_limit, quota_used, created_at, updated_at;

-- name: quota_usage_now :one
-- params: int8
-- row: usage_now
SELECT account_id, quota_limit,
    CASE WHEN period_start = luna_period_start(quota_period, now()) THEN quota_used ELSE 0 END AS quota_used,
    quota_period, luna_period_end(quota_period, luna_period_start(quota_period, now())) AS period_ends_at,
    plan_id, now() AS read_at
FROM account
WHERE account_id = $1;

-- name: quota_usage_by_day :many
-- params: int8, int4
-- row: usage_units
-- bounded: 366 days
SELECT to_char(day, 'YYYY-MM-DD') AS name, sum(units)::bigint AS units
FROM quota_usage
WHERE account_id = $1 AND day > (now() AT TIME ZONE 'UTC')::date - $2
GROUP BY day
ORDER BY day;

-- name: quota_usage_by_method :many
-- params: int8, int4
-- row: usage_units
SELECT method AS name, sum(units)::bigint AS units
FROM quota_usage
WHERE account_id = $1 AND day > (now() AT TIME ZONE 'UTC')::date - $2
GROUP BY method
ORDER BY 2 DESC, 1
LIMIT 1000;

-- name: quota_list_events :many
-- params: int8, int8, int8
-- row: quota_event
-- list: event_id
-- column: event_id int8
-- column: occurred_at timestamptz
-- column: kind text
-- column: by_account_id int8 null
SELECT event_id, account_id, occurred_at, kind, by_account_id, data::text AS data
FROM quota_event
WHERE account_id = $1 AND /* where */
ORDER BY /* order */
LIMIT $2 OFFSET $3;

-- name: quota_events_after :many
-- params: int8, int8
-- row: quota_event
SELECT event_id, account_id, occurred_at, kind, by_account_id, data::text AS data
FROM quota_event
WHERE account_id = $1 AND event_id > $2
ORDER BY event_id
LIMIT 100;

-- name: quota_last_event :one
-- params: int8
-- row: db_int8
SELECT coalesce(max(event_id), 0) AS value FROM quota_event WHERE account_id = $1;

-- name: quota_reserve :maybe
-- params: int8, text, int8, int8
-- row: reservation
-- system
-- write
SELECT made AS changed, state, cost, actual, expires_at FROM luna_quota_reserve($1, $2, $3, $4);

-- name: quota_end_reservation :maybe
-- params: int8, text, int8
-- row: reservation
-- system
-- write
SELECT changed, state, cost, actual, expires_at FROM luna_quota_end_reservation($1, $2, $3);

-- Nothing is inserted when there are too many already.
-- name: quota_insert_rule :maybe
-- params: int8, text, text[], text[], int8, int8, int8, int8, bool
-- row: limit_rule
-- write
-- error: unique RULE_EXISTS
INSERT INTO limit_rule (account_id, domain, entry_keys, entry_values, capacity, unit_us, units, period_ms,
    report_only)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
WHERE (SELECT count(*) FROM limit_rule r WHERE r.account_id = $1) < 1000
RETURNING rule_id, domain, entry_keys, entry_values, capacity, unit_us, units, period_ms, report_only, created_at;

-- name: quota_list_rules :many
-- params: int8, int8, int8
-- row: limit_rule
-- list: rule_id
-- column: rule_id int8
-- column: domain text
-- column: created_at timestamptz
SELECT rule_id, domain, entry_keys, entry_values, capacity, unit_us, units, period_ms, report_only, created_at
FROM limit_rule
WHERE account_id = $1 AND /* where */
ORDER BY /* order */
LIMIT $2 OFFSET $3;

-- name: quota_all_rules :many
-- params: int8
-- row: limit_rule
SELECT rule_id, domain, entry_keys, entry_values, capacity, unit_us, units, period_ms, report_only, created_at
FROM limit_rule
WHERE account_id = $1
ORDER BY rule_id
LIMIT 1000;

-- name: quota_delete_rule :exec
-- params: int8, int8
DELETE FROM limit_rule WHERE account_id = $1 AND rule_id = $2;
