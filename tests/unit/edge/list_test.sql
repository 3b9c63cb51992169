-- The list that list_test.cc filters and sorts.

-- name: t_thing_list :many
-- params: int8, int8, int8
-- row: t_thing
-- list: id
-- column: id int8
-- column: n int4 null
-- column: x float8
-- column: label text
-- column: nick text null
-- column: flag bool
-- column: seen.at timestamptz null as seen_at = seen_at
-- column: day date
-- column: u uuid
-- column: tags text[] nosort
-- column: state text nosort values STATE_ON=on,STATE_OFF=off
-- column: took int8 null unit ms as took_ms = took_ms
-- column: hidden text nofilter nosort = label
SELECT id, n, x, label, nick, flag, seen_at, day, u, tags, state, took_ms
FROM thing
WHERE owner = $1 AND /* where */
ORDER BY /* order */
LIMIT $2 OFFSET $3;

-- name: t_thing_newest :many
-- params: int8, int8
-- row: t_thing
-- list: day desc, id desc
-- column: id int8
-- column: day date
SELECT id, n, x, label, nick, flag, seen_at, day, u, tags, state, took_ms
FROM thing
WHERE /* where */
ORDER BY /* order */
LIMIT $1 OFFSET $2;
