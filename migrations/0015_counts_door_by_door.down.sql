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
    JOIN counts_assignment a ON a.account_id = account AND a.doorway_id = door.doorway_id
    WHERE door.sign <> 0 AND a.recorded_at <= known AND (a.superseded_at IS NULL OR a.superseded_at > known)
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
    JOIN counts_assignment a ON a.account_id = account AND a.doorway_id = door.doorway_id
    WHERE door.sign <> 0 AND a.recorded_at <= known AND (a.superseded_at IS NULL OR a.superseded_at > known)
$$;
