-- People counts. How they are stored and summed is in migrations/0004_counts.

-- ---- spaces

-- name: counts_insert_space :one
-- params: int8, text, int4, int8, text
-- row: counts_space
-- error: counts_space_parent SPACE_NOT_FOUND
WITH made AS (
    INSERT INTO counts_space (account_id, name, capacity, parent_id, time_zone)
    VALUES ($1, $2, $3, $4, $5)
    RETURNING space_id, name, capacity, parent_id, time_zone, created_at, updated_at
), within AS (
    INSERT INTO counts_within (account_id, outer_id, space_id)
    SELECT $1, m.space_id, m.space_id FROM made m
    UNION ALL
    SELECT $1, w.outer_id, m.space_id
    FROM made m
    JOIN counts_within w ON w.account_id = $1 AND w.space_id = m.parent_id
)
SELECT space_id, name, capacity, parent_id, time_zone, created_at, updated_at FROM made;

-- name: counts_get_space :one
-- params: int8, int8
-- row: counts_space
SELECT space_id, name, capacity, parent_id, time_zone, created_at, updated_at
FROM counts_space
WHERE account_id = $1 AND space_id = $2;

-- name: counts_lock_space :one
-- params: int8, int8
-- row: counts_space
SELECT space_id, name, capacity, parent_id, time_zone, created_at, updated_at
FROM counts_space
WHERE account_id = $1 AND space_id = $2
FOR UPDATE;

-- name: counts_list_spaces :many
-- params: int8, int8, int8
-- row: counts_space
-- list: space_id
-- column: space_id int8
-- column: name text
-- column: capacity int4 null nosort
-- column: parent_id int8 null nosort
-- column: time_zone text
-- column: created_at timestamptz
-- column: updated_at timestamptz
SELECT space_id, name, capacity, parent_id, time_zone, created_at, updated_at
FROM counts_space
WHERE account_id = $1 AND /* where */
ORDER BY /* order */
LIMIT $2 OFFSET $3;

-- Fails with 22023 for a name that is no time zone.
-- name: counts_check_zone :one
-- params: text
-- row: db_bool
-- error: 22023 BAD_FIELD
SELECT (now() AT TIME ZONE $1) IS NOT NULL AS value;

-- Each change has its own updated_at, also within one microsecond: it is the etag.
-- name: counts_update_space :maybe
-- params: int8, int8, text, bool, int4, bool, int8, text, timestamptz
-- row: counts_space
-- error: counts_space_parent SPACE_NOT_FOUND
UPDATE counts_space
SET name = coalesce($3, name),
    capacity = CASE WHEN $4 THEN $5 ELSE capacity END,
    parent_id = CASE WHEN $6 THEN $7 ELSE parent_id END,
    time_zone = coalesce($8, time_zone),
    updated_at = greatest(now(), updated_at + interval '1 us')
WHERE account_id = $1 AND space_id = $2 AND ($9 IS NULL OR updated_at = $9)
RETURNING space_id, name, capacity, parent_id, time_zone, created_at, updated_at;

-- Parents change one at a time in an account: two changes could close a circle together.
-- name: counts_lock_tree :one
-- params: int8
-- row: db_bool
-- write
SELECT pg_advisory_xact_lock(('x' || md5('luna_counts_tree' || $1::text))::bit(64)::bigint) IS NOT NULL AS value;

-- name: counts_is_within :one
-- params: int8, int8, int8
-- row: db_bool
SELECT EXISTS (
    SELECT FROM counts_within WHERE account_id = $1 AND outer_id = $2 AND space_id = $3) AS value;

-- Takes a space with what lies in it out of what it lay in.
-- name: counts_leave_parent :exec
-- params: int8, int8
DELETE FROM counts_within w
USING counts_within inner_one
WHERE w.account_id = $1 AND inner_one.account_id = $1 AND inner_one.outer_id = $2
    AND w.space_id = inner_one.space_id
    AND NOT EXISTS (
        SELECT FROM counts_within o
        WHERE o.account_id = $1 AND o.outer_id = $2 AND o.space_id = w.outer_id);

-- name: counts_enter_parent :exec
-- params: int8, int8, int8
INSERT INTO counts_within (account_id, outer_id, space_id)
SELECT $1, o.outer_id, i.space_id
FROM counts_within o
CROSS JOIN counts_within i
WHERE o.account_id = $1 AND o.space_id = $3 AND i.account_id = $1 AND i.outer_id = $2;

-- name: counts_space_holds :one
-- params: int8, int8
-- row: counts_holds
SELECT (SELECT count(*) FROM counts_doorway
        WHERE account_id = $1 AND (ingress_space_id = $2 OR egress_space_id = $2)) AS first,
    (SELECT count(*) FROM counts_space WHERE account_id = $1 AND parent_id = $2) AS second;

-- name: counts_drop_doorways :exec
-- params: int8, int8
DELETE FROM counts_doorway WHERE account_id = $1 AND (ingress_space_id = $2 OR egress_space_id = $2);

-- name: counts_children :many
-- params: int8, int8
-- row: db_int8
-- bounded: the children of one space, on the way to its deletion
SELECT space_id AS value FROM counts_space WHERE account_id = $1 AND parent_id = $2 ORDER BY space_id;

-- name: counts_delete_space :exec
-- params: int8, int8
DELETE FROM counts_space WHERE account_id = $1 AND space_id = $2;

-- ---- doorways

-- name: counts_insert_doorway :one
-- params: int8, text, int8, int8
-- row: counts_doorway
-- error: foreign SPACE_NOT_FOUND
INSERT INTO counts_doorway (account_id, name, ingress_space_id, egress_space_id)
VALUES ($1, $2, $3, $4)
RETURNING doorway_id, name, ingress_space_id, egress_space_id, created_at, updated_at;

-- name: counts_get_doorway :one
-- params: int8, int8
-- row: counts_doorway
SELECT doorway_id, name, ingress_space_id, egress_space_id, created_at, updated_at
FROM counts_doorway
WHERE account_id = $1 AND doorway_id = $2;

-- name: counts_list_doorways :many
-- params: int8, int8, int8
-- row: counts_doorway
-- list: doorway_id
-- column: doorway_id int8
-- column: name text
-- column: ingress_space_id int8
-- column: egress_space_id int8 null nosort
-- column: created_at timestamptz
-- column: updated_at timestamptz
SELECT doorway_id, name, ingress_space_id, egress_space_id, created_at, updated_at
FROM counts_doorway
WHERE account_id = $1 AND /* where */
ORDER BY /* order */
LIMIT $2 OFFSET $3;

-- name: counts_update_doorway :maybe
-- params: int8, int8, text, int8, bool, int8, timestamptz
-- row: counts_doorway
-- error: foreign SPACE_NOT_FOUND
UPDATE counts_doorway
SET name = coalesce($3, name),
    ingress_space_id = coalesce($4, ingress_space_id),
    egress_space_id = CASE WHEN $5 THEN $6 ELSE egress_space_id END,
    updated_at = greatest(now(), updated_at + interval '1 us')
WHERE account_id = $1 AND doorway_id = $2 AND ($7 IS NULL OR updated_at = $7)
RETURNING doorway_id, name, ingress_space_id, egress_space_id, created_at, updated_at;

-- name: counts_doorway_holds :one
-- params: int8, int8
-- row: counts_holds
SELECT count(*) AS first, 0::bigint AS second
FROM counts_assignment
WHERE account_id = $1 AND doorway_id = $2 AND superseded_at IS NULL;

-- name: counts_delete_doorway :exec
-- params: int8, int8
DELETE FROM counts_doorway WHERE account_id = $1 AND doorway_id = $2;

-- ---- DPUs

-- name: counts_insert_dpu :one
-- params: int8, int4, text, text
-- row: counts_dpu
-- error: counts_dpu_key DPU_EXISTS
INSERT INTO counts_dpu (account_id, dpu_id, name, serial)
VALUES ($1, $2, $3, $4)
RETURNING dpu_id, name, serial, created_at, updated_at;

-- name: counts_get_dpu :one
-- params: int8, int4
-- row: counts_dpu
SELECT dpu_id, name, serial, created_at, updated_at
FROM counts_dpu
WHERE account_id = $1 AND dpu_id = $2;

-- name: counts_list_dpus :many
-- params: int8, int8, int8
-- row: counts_dpu
-- list: dpu_id
-- column: dpu_id int4
-- column: name text
-- column: serial text
-- column: created_at timestamptz
-- column: updated_at timestamptz
SELECT dpu_id, name, serial, created_at, updated_at
FROM counts_dpu
WHERE account_id = $1 AND /* where */
ORDER BY /* order */
LIMIT $2 OFFSET $3;

-- name: counts_update_dpu :maybe
-- params: int8, int4, text, text, timestamptz
-- row: counts_dpu
UPDATE counts_dpu
SET name = coalesce($3, name), serial = coalesce($4, serial),
    updated_at = greatest(now(), updated_at + interval '1 us')
WHERE account_id = $1 AND dpu_id = $2 AND ($5 IS NULL OR updated_at = $5)
RETURNING dpu_id, name, serial, created_at, updated_at;

-- name: counts_dpu_holds :one
-- params: int8, int4
-- row: counts_holds
SELECT (SELECT count(*) FROM counts_assignment
        WHERE account_id = $1 AND dpu_id = $2 AND superseded_at IS NULL) AS first,
    (SELECT n FROM luna_counts_prefix($1, $2, 'infinity', 'infinity')) AS second;

-- name: counts_delete_dpu :exec
-- params: int8, int4
DELETE FROM counts_dpu WHERE account_id = $1 AND dpu_id = $2;

-- name: counts_drop_readings :exec
-- params: int8, int4
WITH more AS (DELETE FROM counts_reading_more WHERE account_id = $1 AND dpu_id = $2),
    came_in AS (DELETE FROM counts_reading_in WHERE account_id = $1 AND dpu_id = $2)
DELETE FROM counts_reading_out WHERE account_id = $1 AND dpu_id = $2;

-- name: counts_drop_checkpoints :exec
-- params: int8, int4
DELETE FROM counts_checkpoint WHERE account_id = $1 AND dpu_id = $2;

-- ---- assignments

-- name: counts_insert_assignment :one
-- params: int8, int4, int8, timestamptz, timestamptz
-- row: counts_assignment
-- error: counts_assignment_dpu DPU_NOT_FOUND
-- error: counts_assignment_doorway DOORWAY_NOT_FOUND
-- error: counts_assignment_overlap ASSIGNMENT_OVERLAPS
INSERT INTO counts_assignment (account_id, dpu_id, doorway_id, starts_at, ends_at)
VALUES ($1, $2, $3, $4, $5)
RETURNING assignment_id, dpu_id, doorway_id, starts_at, ends_at, recorded_at;

-- name: counts_get_assignment :one
-- params: int8, int4, int8
-- row: counts_assignment
SELECT assignment_id, dpu_id, doorway_id, starts_at, ends_at, recorded_at
FROM counts_assignment
WHERE account_id = $1 AND dpu_id = $2 AND assignment_id = $3 AND superseded_at IS NULL
FOR UPDATE;

-- name: counts_assignment_at :maybe
-- params: int8, int4, timestamptz
-- row: counts_assignment
SELECT assignment_id, dpu_id, doorway_id, starts_at, ends_at, recorded_at
FROM counts_assignment
WHERE account_id = $1 AND dpu_id = $2 AND superseded_at IS NULL AND starts_at <= $3 AND ends_at > $3
FOR UPDATE;

-- name: counts_list_assignments :many
-- params: int8, int4, timestamptz, int4
-- row: counts_assignment
SELECT assignment_id, dpu_id, doorway_id, starts_at, ends_at, recorded_at
FROM counts_assignment
WHERE account_id = $1 AND dpu_id = $2 AND superseded_at IS NULL AND ($3 IS NULL OR starts_at > $3)
ORDER BY starts_at
LIMIT $4;

-- name: counts_supersede :exec
-- params: int8, int8
UPDATE counts_assignment
SET superseded_at = greatest(clock_timestamp(), recorded_at + interval '1 us')
WHERE account_id = $1 AND assignment_id = $2 AND superseded_at IS NULL;

-- name: counts_correct_assignment :one
-- params: int8, int8, int4, int8, timestamptz, timestamptz
-- row: counts_assignment
-- error: counts_assignment_doorway DOORWAY_NOT_FOUND
-- error: counts_assignment_overlap ASSIGNMENT_OVERLAPS
INSERT INTO counts_assignment (account_id, assignment_id, recorded_at, dpu_id, doorway_id, starts_at, ends_at)
SELECT $1, $2, max(a.superseded_at), $3, $4, $5, $6
FROM counts_assignment a
WHERE a.account_id = $1 AND a.assignment_id = $2
RETURNING assignment_id, dpu_id, doorway_id, starts_at, ends_at, recorded_at;

-- ---- readings

-- The same for many callers in one transaction, and for one with many.
-- name: counts_ingest :many
-- params: int8[], int2[], int4[], timestamptz[], int2[], text[]
-- row: counts_refused
-- write
-- bounded: by its arguments
-- error: foreign DPU_NOT_FOUND
SELECT ord, ord AS place, outcome
FROM luna_counts_take(($1::bigint[])[1], $2, $3, $4, $5, $6);

-- name: counts_get_reading :one
-- params: int8, int4, timestamptz, int4
-- row: counts_reading
SELECT dpu_id::bigint AS dpu_id, at, sign(tag)::integer AS direction, event_id, tag, received_at
FROM counts_reading
WHERE account_id = $1 AND dpu_id = $2 AND at = $3 AND tag = $4;

-- name: counts_list_readings :many
-- params: int8, int8, int8
-- row: counts_reading
-- list: dpu_id, timestamp, tag
-- column: dpu_id int8 = dpu_id::bigint
-- column: timestamp timestamptz as at = at
-- column: tag int4
-- column: direction int4 nosort = sign(tag)::integer
-- column: event_id text nosort null
-- column: received_at timestamptz
SELECT dpu_id::bigint AS dpu_id, at, sign(tag)::integer AS direction, event_id, tag, received_at
FROM counts_reading
WHERE account_id = $1 AND /* where */
ORDER BY /* order */
LIMIT $2 OFFSET $3;

-- ---- checkpoints

-- name: counts_announce :many
-- params: int8, int4[], timestamptz[], int4
-- row: counts_announced
-- write
-- bounded: by the readings of some DPUs since the last checkpoint
SELECT dpu_id, upto
FROM luna_counts_announce($1, $2, $3, $4)
ORDER BY dpu_id, upto;

-- The transactions that may not have seen what was announced: those up to this one. An id of its own: a snapshot's xmax
-- is one after the last that has ended, and transactions that run may have ids from there on.
-- name: counts_horizon :one
-- row: db_int8
-- write
SELECT pg_current_xact_id()::text::bigint AS value;

-- name: counts_oldest :one
-- row: db_int8
-- write
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS value;

-- name: counts_fill :one
-- params: int8, int4[], timestamptz[]
-- row: db_int8
-- write
SELECT luna_counts_fill($1, $2, $3) AS value;

-- name: counts_rebuild :many
-- params: int8, int4, int4
-- row: counts_rebuilt
-- write
-- bounded: by a hundred DPUs
SELECT account_id, dpu_id, made
FROM luna_counts_rebuild($1, $2, $3);

-- ---- counts

-- name: counts_at :one
-- params: int8, int8, timestamptz
-- row: counts_value_at
SELECT c.count, c.entrances, c.exits, s.capacity,
    (SELECT horizon FROM counts_retention WHERE account_id = $1) AS horizon,
    (SELECT grain_seconds FROM counts_retention WHERE account_id = $1) AS grain_seconds
FROM counts_space s
CROSS JOIN LATERAL luna_counts_at($1, $2, $3) c
WHERE s.account_id = $1 AND s.space_id = $2;

-- As it was known at $4: reads every reading up to $3 but those before the horizon $5; $6: the end of the sums there.
-- name: counts_at_known :one
-- params: int8, int8, timestamptz, timestamptz, timestamptz, timestamptz
-- row: counts_value
SELECT coalesce(sum(p.sign * (hi.net - lo.net + r.net)), 0)::bigint AS count,
    coalesce(sum((hi.n - lo.n + r.n + p.sign * (hi.net - lo.net + r.net)) / 2), 0)::bigint AS entrances,
    coalesce(sum((hi.n - lo.n + r.n - p.sign * (hi.net - lo.net + r.net)) / 2), 0)::bigint AS exits,
    max(s.capacity) AS capacity
FROM counts_space s
LEFT JOIN luna_counts_parts_known($1, $2, $4) p ON true
LEFT JOIN LATERAL luna_counts_prefix($1, p.dpu_id, $6, p.ends_at) hi ON true
LEFT JOIN LATERAL luna_counts_prefix($1, p.dpu_id, $6, p.starts_at) lo ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS n, coalesce(sum(sign(r.tag)), 0)::bigint AS net
    FROM counts_reading r
    WHERE r.account_id = $1 AND r.dpu_id = p.dpu_id AND r.at >= p.starts_at AND r.at < p.ends_at
        AND r.at <= $3 AND r.at >= $5 AND r.received_at <= $4
) r ON true
WHERE s.account_id = $1 AND s.space_id = $2;

-- Current counts, and the snapshot they are as of.
-- name: counts_of_spaces :many
-- params: int8, int8[]
-- row: counts_learned
-- bounded: by its arguments
SELECT s.space_id, c.count, c.entrances, c.exits, s.capacity, pg_current_snapshot()::text AS snapshot
FROM counts_space s
CROSS JOIN LATERAL luna_counts_at($1, s.space_id, 'infinity') c
WHERE s.account_id = $1 AND s.space_id = ANY ($2)
ORDER BY s.space_id;

-- name: counts_parts :many
-- params: int8, int8[]
-- row: counts_part
-- bounded: by the DPUs that ever hung over the doors of some spaces
SELECT u.space_id, p.dpu_id, p.sign, p.starts_at, p.ends_at
FROM unnest($2) u(space_id)
CROSS JOIN LATERAL luna_counts_parts($1, u.space_id, 'infinity') p;

-- The snapshot of this statement, and what transactions from $2 on have changed.
-- name: counts_pulses :many
-- params: int8, int8
-- row: counts_pulse
-- bounded: by the LIMIT within
SELECT now.snapshot::text AS snapshot, coalesce(f.xid, 0) AS floor, p.xid, p.first_at, p.last_at, p.dpus, p.ns, p.nets
FROM (SELECT pg_current_snapshot() AS snapshot) now
LEFT JOIN counts_pulse_floor f ON f.account_id = $1
LEFT JOIN (
    SELECT q.xid, q.first_at, q.last_at, q.dpus, q.ns, q.nets
    FROM counts_pulse q
    WHERE q.account_id = $1 AND q.xid >= $2
    ORDER BY q.xid
    LIMIT 65
) p ON true;

-- Takes away pulses of transactions before $2, all of which have ended.
-- name: counts_prune :exec
-- params: int8, int8
-- write
WITH gone AS (
    DELETE FROM counts_pulse WHERE account_id = $1 AND xid < $2 RETURNING 1
)
INSERT INTO counts_pulse_floor AS f (account_id, xid)
SELECT $1, $2
WHERE EXISTS (SELECT FROM gone)
ON CONFLICT (account_id) DO UPDATE SET xid = greatest(f.xid, excluded.xid);

-- name: counts_dpus_of_spaces :many
-- params: int8, int8[]
-- row: db_int8
-- bounded: by the DPUs that ever hung over the doors of some spaces
SELECT DISTINCT p.dpu_id::bigint AS value
FROM unnest($2) u(space_id)
CROSS JOIN LATERAL luna_counts_parts($1, u.space_id, 'infinity') p
ORDER BY 1;

-- name: counts_events :many
-- params: int8, int8, timestamptz, timestamptz, timestamptz, timestamptz, int4, int4, int4
-- row: counts_event
SELECT r.at, r.dpu_id, r.tag, (p.sign * sign(r.tag))::integer AS delta
FROM luna_counts_parts_known($1, $2, $5) p
CROSS JOIN LATERAL (
    SELECT r.at, r.dpu_id, r.tag
    FROM counts_reading r
    WHERE r.account_id = $1 AND r.dpu_id = p.dpu_id AND r.at >= p.starts_at AND r.at < p.ends_at
        AND r.at >= $3 AND r.at < $4 AND r.received_at <= $5 AND r.at >= $6
        AND (r.at > $6 OR r.dpu_id > $7 OR (r.dpu_id = $7 AND r.tag > $8))
    ORDER BY r.at, r.tag
    LIMIT $9
) r
ORDER BY r.at, r.dpu_id, r.tag
LIMIT $9;

-- name: counts_each_event :stream
-- params: int8, int8, timestamptz, timestamptz, timestamptz
-- row: counts_event
SELECT r.at, r.dpu_id, r.tag, (p.sign * sign(r.tag))::integer AS delta
FROM luna_counts_parts_known($1, $2, $5) p
JOIN counts_reading r ON r.account_id = $1 AND r.dpu_id = p.dpu_id AND r.at >= p.starts_at AND r.at < p.ends_at
WHERE r.at >= $3 AND r.at < $4 AND r.received_at <= $5
ORDER BY r.at, r.dpu_id, r.tag;

-- The first reading of a space, and up to when every DPU that hangs there now was seen.
-- name: counts_extent :one
-- params: int8, int8
-- row: counts_extent
SELECT min(head.at) AS first_at,
    min(coalesce(last.at, d.rolled_seen_at, '-infinity')) FILTER (WHERE p.ends_at = 'infinity') AS seen_until
FROM luna_counts_parts($1, $2, 'infinity') p
JOIN counts_dpu d ON d.account_id = $1 AND d.dpu_id = p.dpu_id
LEFT JOIN LATERAL (
    SELECT r.at FROM counts_reading r
    WHERE r.account_id = $1 AND r.dpu_id = p.dpu_id AND r.at >= p.starts_at AND r.at < p.ends_at
    ORDER BY r.at LIMIT 1
) head ON true
LEFT JOIN LATERAL (
    SELECT r.at FROM counts_reading r
    WHERE r.account_id = $1 AND r.dpu_id = p.dpu_id
    ORDER BY r.at DESC LIMIT 1
) last ON true;

-- Edges of days and longer buckets, by the calendar of a zone: $3 day, week, month or year, of which $4 or $5
-- make one.
-- name: counts_calendar_edges :many
-- params: timestamptz, timestamptz, text, int4, int4, text
-- row: counts_edge
-- error: 22023 BAD_FIELD
SELECT g AT TIME ZONE $6 AS at
FROM generate_series(date_trunc($3, $1 AT TIME ZONE $6),
    ($2 AT TIME ZONE $6) + make_interval(months => $4, days => $5), make_interval(months => $4, days => $5)) g
LIMIT 10002;

-- Edges of buckets shorter than a day, which begin again at each midnight of the zone when a day is a multiple
-- of them ($4), and from the first midnight on otherwise.
-- name: counts_clock_edges :many
-- params: timestamptz, timestamptz, float8, bool, text
-- row: counts_edge
-- error: 22023 BAD_FIELD
SELECT e.at
FROM (
    SELECT g AT TIME ZONE $5 AS starts_at,
        CASE WHEN $4 THEN (g + interval '1 day') AT TIME ZONE $5
            ELSE $2 + make_interval(secs => 2 * $3) END AS ends_at
    FROM generate_series(date_trunc('day', $1 AT TIME ZONE $5),
        CASE WHEN $4 THEN ($2 AT TIME ZONE $5) + interval '1 day'
            ELSE date_trunc('day', $1 AT TIME ZONE $5) END, interval '1 day') g
) d
CROSS JOIN LATERAL generate_series(d.starts_at, d.ends_at - interval '1 us', make_interval(secs => $3)) e(at)
WHERE e.at > $1 - make_interval(secs => $3) AND e.at < $2 + make_interval(secs => 2 * $3)
ORDER BY e.at
LIMIT 10002;

-- name: counts_space_ids :many
-- params: int8, int8, int4
-- row: db_int8
SELECT space_id AS value
FROM counts_space
WHERE account_id = $1 AND space_id > $2
ORDER BY space_id
LIMIT $3;

-- ---- telling others

-- name: counts_notify :one
-- params: text
-- row: db_bool
-- system
-- write
-- idempotent
SELECT pg_notify('luna_counts', $1) IS NOT NULL AS value;

-- ---- health and calibrations

-- name: counts_list_health :many
-- params: int8, int4, int4
-- row: counts_health
SELECT d.dpu_id, coalesce(last.at, d.rolled_seen_at) AS last_seen_at,
    coalesce(last.received_at, d.rolled_received_at) AS last_received_at,
    upto.n - week.n AS recent, ((upto.n - week.n) - (upto.net - week.net)) / 2 AS outwards,
    luna_counts_unassigned($1, d.dpu_id) AS unassigned,
    a.doorway_id, coalesce(door.egress_space_id IS NULL, false) AS outer
FROM counts_dpu d
LEFT JOIN LATERAL (
    SELECT r.at, r.received_at FROM counts_reading r
    WHERE r.account_id = $1 AND r.dpu_id = d.dpu_id
    ORDER BY r.at DESC LIMIT 1
) last ON true
CROSS JOIN LATERAL luna_counts_prefix($1, d.dpu_id, 'infinity', 'infinity') upto
CROSS JOIN LATERAL luna_counts_prefix($1, d.dpu_id, now() - interval '7 days', 'infinity') week
LEFT JOIN counts_assignment a ON a.account_id = $1 AND a.dpu_id = d.dpu_id AND a.superseded_at IS NULL
    AND a.starts_at <= now() AND a.ends_at > now()
LEFT JOIN counts_doorway door ON door.account_id = $1 AND door.doorway_id = a.doorway_id
WHERE d.account_id = $1 AND d.dpu_id > $2
ORDER BY d.dpu_id
LIMIT $3;

-- name: counts_insert_calibration :one
-- params: int8, int8, timestamptz, int8, float8, text
-- row: counts_calibration
-- error: foreign SPACE_NOT_FOUND
INSERT INTO counts_calibration AS c (account_id, space_id, at, count, deviation, note)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (account_id, space_id, at)
    DO UPDATE SET count = excluded.count, deviation = excluded.deviation, note = excluded.note, recorded_at = now()
RETURNING space_id, at, count, deviation, note, recorded_at;

-- name: counts_list_calibrations :many
-- params: int8, int8
-- row: counts_calibration
SELECT space_id, at, count, deviation, note, recorded_at
FROM counts_calibration
WHERE account_id = $1 AND space_id = $2
ORDER BY at DESC
LIMIT 1000;
