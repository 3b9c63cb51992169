-- What doorways led to and what spaces lay in, before it was corrected: `known_at` asks what would have been answered
-- then, and an answer that was given does not change because the floor plan does. A row that is changed or goes away
-- leaves what it said, and until when; counts by what is known now read none of it. What is deleted takes along what
-- it was.
--
-- Locks: counts_within and counts_doorway, for a moment.

ALTER TABLE counts_within ADD COLUMN since timestamptz NOT NULL DEFAULT '-infinity';
ALTER TABLE counts_within ALTER COLUMN since SET DEFAULT clock_timestamp();

CREATE TABLE counts_within_was (
    account_id integer NOT NULL,
    outer_id bigint NOT NULL,
    space_id bigint NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (account_id, outer_id, space_id, until),
    FOREIGN KEY (account_id, outer_id) REFERENCES counts_space ON DELETE CASCADE,
    FOREIGN KEY (account_id, space_id) REFERENCES counts_space ON DELETE CASCADE
);
CREATE INDEX counts_within_was_space ON counts_within_was (account_id, space_id);

-- The spaces may be gone: nobody asks for their counts then.
CREATE TABLE counts_doorway_was (
    account_id integer NOT NULL,
    doorway_id bigint NOT NULL,
    ingress_space_id bigint NOT NULL,
    egress_space_id bigint,
    until timestamptz NOT NULL,
    PRIMARY KEY (account_id, doorway_id, until),
    FOREIGN KEY (account_id, doorway_id) REFERENCES counts_doorway ON DELETE CASCADE
);
CREATE INDEX counts_doorway_was_into ON counts_doorway_was (account_id, ingress_space_id);
CREATE INDEX counts_doorway_was_out_of ON counts_doorway_was (account_id, egress_space_id)
    WHERE egress_space_id IS NOT NULL;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['within_was', 'doorway_was'] LOOP
        EXECUTE format('ALTER TABLE counts_%s ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE counts_%s FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY counts_%s_owner ON counts_%s TO CURRENT_USER USING (true)
            WITH CHECK (true)', t, t);
        EXECUTE format('CREATE POLICY counts_%s_own ON counts_%s TO luna_app
            USING (account_id = (SELECT nullif(current_setting(''luna.account'', true), '''')::bigint))
            WITH CHECK (account_id = (SELECT nullif(current_setting(''luna.account'', true), '''')::bigint))',
            t, t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON counts_%s TO luna_app', t);
    END LOOP;
END
$$;

-- When a space is deleted, with what lay in it or it lay in, nothing is kept.
CREATE FUNCTION luna_counts_keep_within() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO counts_within_was (account_id, outer_id, space_id, since, until)
    SELECT old.account_id, old.outer_id, old.space_id, old.since, clock_timestamp()
    FROM counts_space o
    JOIN counts_space i ON i.account_id = old.account_id AND i.space_id = old.space_id
    WHERE o.account_id = old.account_id AND o.space_id = old.outer_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER counts_within_kept AFTER DELETE ON counts_within
    FOR EACH ROW EXECUTE FUNCTION luna_counts_keep_within();

CREATE FUNCTION luna_counts_keep_doorway() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO counts_doorway_was (account_id, doorway_id, ingress_space_id, egress_space_id, until)
    VALUES (old.account_id, old.doorway_id, old.ingress_space_id, old.egress_space_id, clock_timestamp());
    RETURN NULL;
END
$$;
CREATE TRIGGER counts_doorway_kept AFTER UPDATE ON counts_doorway
    FOR EACH ROW
    WHEN ((old.ingress_space_id, old.egress_space_id) IS DISTINCT FROM (new.ingress_space_id, new.egress_space_id))
    EXECUTE FUNCTION luna_counts_keep_doorway();

-- luna_counts_parts with the doorways and spaces, too, as they were known then: of a doorway the first of the rows it left
-- behind `known`, and itself when there is none.
CREATE FUNCTION luna_counts_parts_known(account bigint, space bigint, known timestamptz)
RETURNS TABLE (doorway_id bigint, dpu_id integer, sign integer, starts_at timestamptz, ends_at timestamptz)
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

REVOKE ALL ON FUNCTION luna_counts_keep_within, luna_counts_keep_doorway, luna_counts_parts_known FROM PUBLIC;
GRANT EXECUTE ON FUNCTION luna_counts_keep_within, luna_counts_keep_doorway, luna_counts_parts_known TO luna_app;
