-- The assignments of a space's doors are looked up door by door, whatever the planner believes of the tables' sizes: a
-- plan that a session made while there were few, kept until statistics are gathered, would read all of the account's and
-- try each against each door. OFFSET 0 keeps the planner from making a join of it.

CREATE OR REPLACE FUNCTION luna_counts_parts(account bigint, space bigint, known timestamptz) RETURNS TABLE(doorway_id bigint, dpu_id integer, sign integer, starts_at timestamptz, ends_at timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    SELECT door.doorway_id, a.dpu_id, door.sign, a.starts_at, a.ends_at
    FROM (
        SELECT side.doorway_id, sum(side.sign)::integer AS sign
        FROM (
            SELECT d.doorway_id, 1 AS sign
            FROM counts_within w
            JOIN counts_doorway d ON d.account_id = account AND d.ingress_space_id = w.space_id
            WHERE w.account_id = account AND w.outer_id = space
            UNION ALL
            SELECT d.doorway_id, -1
            FROM counts_within w
            JOIN counts_doorway d ON d.account_id = account AND d.egress_space_id = w.space_id
            WHERE w.account_id = account AND w.outer_id = space
        ) side
        GROUP BY side.doorway_id
    ) door
    CROSS JOIN LATERAL (
        SELECT t.dpu_id, t.starts_at, t.ends_at
        FROM counts_assignment t
        WHERE t.account_id = account AND t.doorway_id = door.doorway_id AND t.recorded_at <= known
            AND (t.superseded_at IS NULL OR t.superseded_at > known)
        OFFSET 0
    ) a
    WHERE door.sign <> 0
$$;

CREATE OR REPLACE FUNCTION luna_counts_parts_known(account bigint, space bigint, known timestamptz) RETURNS TABLE(doorway_id bigint, dpu_id integer, sign integer, starts_at timestamptz, ends_at timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    SELECT door.doorway_id, a.dpu_id, door.sign, a.starts_at, a.ends_at
    FROM (
        SELECT side.doorway_id, sum(side.sign)::integer AS sign
        FROM (
            SELECT w.space_id
            FROM counts_within w
            WHERE w.account_id = account AND w.outer_id = space AND w.since <= known
            UNION ALL
            SELECT w.space_id
            FROM counts_within_was w
            WHERE w.account_id = account AND w.outer_id = space AND w.since <= known AND w.until > known
        ) lies
        CROSS JOIN LATERAL (
            SELECT d.doorway_id, 1 AS sign, 'infinity'::timestamptz AS until
            FROM counts_doorway d
            WHERE d.account_id = account AND d.ingress_space_id = lies.space_id
            UNION ALL
            SELECT d.doorway_id, -1, 'infinity'
            FROM counts_doorway d
            WHERE d.account_id = account AND d.egress_space_id = lies.space_id
            UNION ALL
            SELECT d.doorway_id, 1, d.until
            FROM counts_doorway_was d
            WHERE d.account_id = account AND d.ingress_space_id = lies.space_id AND d.until > known
            UNION ALL
            SELECT d.doorway_id, -1, d.until
            FROM counts_doorway_was d
            WHERE d.account_id = account AND d.egress_space_id = lies.space_id AND d.until > known
        ) side
        WHERE (
            SELECT count(*) FROM counts_doorway_was e -- for each by index: NOT EXISTS would become a join
            WHERE e.account_id = account AND e.doorway_id = side.doorway_id
                AND e.until > known AND e.until < side.until) = 0
        GROUP BY side.doorway_id
    ) door
    CROSS JOIN LATERAL (
        SELECT t.dpu_id, t.starts_at, t.ends_at
        FROM counts_assignment t
        WHERE t.account_id = account AND t.doorway_id = door.doorway_id AND t.recorded_at <= known
            AND (t.superseded_at IS NULL OR t.superseded_at > known)
        OFFSET 0
    ) a
    WHERE door.sign <> 0
$$;
