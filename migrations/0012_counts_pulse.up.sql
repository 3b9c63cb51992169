-- Servers remember current counts and bring them up to date by what has been committed since: each transaction that
-- stores readings leaves one row that says of which DPUs how many, and each that changes what leads where leaves one
-- that says nothing, for "all may be different". Who remembers counts as of a snapshot adds up the rows that it did not
-- see: exact, in one index lookup, and writers wait for nobody. Rows are taken away again after some seconds; the floor
-- says up to which transaction, so that a memory older than that is given up.
--
-- Locks: counts_space, counts_within, counts_doorway and counts_assignment, for a moment.

CREATE TABLE counts_pulse (
    account_id bigint NOT NULL,
    xid bigint NOT NULL, -- the transaction
    nth bigint GENERATED ALWAYS AS IDENTITY,
    first_at timestamptz, -- the earliest and the latest of the readings
    last_at timestamptz,
    dpus integer[], -- NULL: all may be different
    ns smallint[], -- readings of each
    nets smallint[], -- sums of their directions
    PRIMARY KEY (account_id, xid, nth)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE counts_pulse
    ALTER COLUMN dpus SET STORAGE EXTERNAL, -- they live for seconds: not worth packing
    ALTER COLUMN ns SET STORAGE EXTERNAL,
    ALTER COLUMN nets SET STORAGE EXTERNAL;

CREATE TABLE counts_pulse_floor (
    account_id bigint PRIMARY KEY,
    xid bigint NOT NULL -- rows of transactions before this one are gone
);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['pulse', 'pulse_floor'] LOOP
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

-- As the owner: who deletes an account is another one, whom the account's rows are closed to.
CREATE FUNCTION luna_counts_all_different() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO public.counts_pulse (account_id, xid)
    SELECT DISTINCT c.account_id, pg_current_xact_id()::text::bigint FROM changed c;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION luna_counts_all_different FROM PUBLIC;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['counts_space', 'counts_within', 'counts_doorway', 'counts_assignment'] LOOP
        EXECUTE format('CREATE TRIGGER %s_inserted AFTER INSERT ON %s REFERENCING NEW TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION luna_counts_all_different()', t, t);
        EXECUTE format('CREATE TRIGGER %s_updated AFTER UPDATE ON %s REFERENCING NEW TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION luna_counts_all_different()', t, t);
        EXECUTE format('CREATE TRIGGER %s_deleted AFTER DELETE ON %s REFERENCING OLD TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION luna_counts_all_different()', t, t);
    END LOOP;
END
$$;

-- Readings that were inserted in this transaction are told to those who remember counts, and added to the checkpoints
-- behind them.
CREATE OR REPLACE FUNCTION luna_counts_fold_late(account bigint, dpus integer[], ats timestamptz[], tags integer[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    touched integer[];
    firsts timestamptz[];
    ns smallint[];
    nets smallint[];
    first_at timestamptz;
    last_at timestamptz;
    late_dpus integer[];
    since timestamptz[];
BEGIN
    SELECT array_agg(g.dpu), array_agg(g.first_at), array_agg(g.n), array_agg(g.net), min(g.first_at), max(g.last_at)
    INTO touched, firsts, ns, nets, first_at, last_at
    FROM (
        SELECT u.dpu, min(u.at) AS first_at, max(u.at) AS last_at, count(*)::smallint AS n,
            sum(CASE WHEN u.tag > 0 THEN 1 ELSE -1 END)::smallint AS net
        FROM unnest(dpus, ats, tags) u(dpu, at, tag)
        GROUP BY u.dpu
        ORDER BY u.dpu
    ) g;
    INSERT INTO counts_pulse (account_id, xid, first_at, last_at, dpus, ns, nets)
    VALUES (account, pg_current_xact_id()::text::bigint, first_at, last_at, touched, ns, nets);
    -- The last checkpoint of each DPU tells whether anything is late: seldom.
    SELECT array_agg(f.dpu ORDER BY f.dpu), array_agg(f.at ORDER BY f.dpu) INTO late_dpus, since
    FROM unnest(touched, firsts) f(dpu, at)
    CROSS JOIN LATERAL (
        SELECT k.upto FROM counts_checkpoint k
        WHERE k.account_id = account AND k.dpu_id = f.dpu
        ORDER BY k.upto DESC LIMIT 1
    ) last
    WHERE last.upto >= f.at;
    IF late_dpus IS NULL THEN
        RETURN;
    END IF;
    -- In one order, so that two writers cannot deadlock.
    PERFORM 1
    FROM (
        SELECT k.dpu_id, k.upto
        FROM unnest(late_dpus, since) f(dpu, at)
        JOIN counts_checkpoint k ON k.account_id = account AND k.dpu_id = f.dpu AND k.upto >= f.at
        ORDER BY k.dpu_id, k.upto
    ) o
    JOIN LATERAL (
        SELECT 1 FROM counts_checkpoint k
        WHERE k.account_id = account AND k.dpu_id = o.dpu_id AND k.upto = o.upto
        FOR UPDATE
    ) locked ON true;
    WITH late AS (
        SELECT u.dpu, u.at, count(*) AS n, sum(sign(u.tag))::bigint AS net
        FROM unnest(dpus, ats, tags) u(dpu, at, tag)
        JOIN unnest(late_dpus) l(dpu) ON l.dpu = u.dpu
        GROUP BY u.dpu, u.at
    ), added AS (
        SELECT k.dpu_id, k.upto, sum(late.n)::bigint AS n, sum(late.net)::bigint AS net
        FROM late
        JOIN counts_checkpoint k ON k.account_id = account AND k.dpu_id = late.dpu AND k.upto >= late.at
        GROUP BY k.dpu_id, k.upto
    )
    UPDATE counts_checkpoint k
    SET n = k.n + added.n, net = k.net + added.net
    FROM added
    WHERE k.account_id = account AND k.dpu_id = added.dpu_id AND k.upto = added.upto;
END
$$;

REVOKE ALL ON FUNCTION luna_counts_all_different FROM PUBLIC;
GRANT EXECUTE ON FUNCTION luna_counts_all_different TO luna_app;

-- Stores readings. dedupes[i]: 0 store it in any case; 1 once for its event id (events[i]), DPU,
-- instant and direction; 2 once for its DPU, instant and direction. Returns the readings that were not stored:
-- outcome 2, there already; 3, there is no such DPU.
CREATE OR REPLACE FUNCTION luna_counts_ingest(
    account bigint, dedupes smallint[], dpus integer[], ats timestamptz[], directions smallint[], events text[]
) RETURNS TABLE (ord bigint, outcome smallint)
LANGUAGE plpgsql
AS $$
DECLARE
    stored_dpus integer[];
    stored_ats timestamptz[];
    stored_tags integer[];
    more_dpus integer[];
    more_ats timestamptz[];
    more_tags integer[];
    left_over bigint[];
    outcomes smallint[];
    wanted bigint[];
    exact boolean := 2 = ANY (dedupes);
    fast boolean := false;
BEGIN
    IF cardinality(dpus) >= 256 AND NOT exact THEN
        BEGIN
            WITH ins AS (
                INSERT INTO counts_reading (account_id, at, received_at, dpu_id, tag, event_id)
                SELECT account, u.at, now(), u.dpu,
                    CASE WHEN u.dedupe = 1 THEN luna_counts_event_tag(u.event, u.direction) ELSE u.direction END, u.event
                FROM unnest(dedupes, dpus, ats, directions, events) u(dedupe, dpu, at, direction, event)
                JOIN counts_dpu d ON d.account_id = account AND d.dpu_id = u.dpu
                ORDER BY u.dpu, u.at -- neighbours in the index one after another: it is filled better
                RETURNING counts_reading.dpu_id, counts_reading.at, counts_reading.tag
            )
            SELECT array_agg(i.dpu_id), array_agg(i.at), array_agg(i.tag)
            INTO stored_dpus, stored_ats, stored_tags
            FROM ins i;
            fast := true;
        EXCEPTION
            WHEN unique_violation THEN -- some repeat what is there: one by one then
                fast := false;
        END;
    END IF;
    IF NOT fast AND NOT exact THEN
        WITH ins AS (
            INSERT INTO counts_reading (account_id, at, received_at, dpu_id, tag, event_id)
            SELECT account, u.at, now(), u.dpu,
                CASE WHEN u.dedupe = 1 THEN luna_counts_event_tag(u.event, u.direction) ELSE u.direction END, u.event
            FROM unnest(dedupes, dpus, ats, directions, events) u(dedupe, dpu, at, direction, event)
            JOIN counts_dpu d ON d.account_id = account AND d.dpu_id = u.dpu
            ORDER BY u.dpu, u.at -- neighbours in the index one after another: it is filled better
            ON CONFLICT DO NOTHING
            RETURNING counts_reading.dpu_id, counts_reading.at, counts_reading.tag
        )
        SELECT array_agg(i.dpu_id), array_agg(i.at), array_agg(i.tag)
        INTO stored_dpus, stored_ats, stored_tags
        FROM ins i;
    ELSIF NOT fast THEN
        WITH ins AS (
            INSERT INTO counts_reading (account_id, at, received_at, dpu_id, tag, event_id)
            SELECT account, u.at, now(), u.dpu,
                CASE WHEN u.dedupe = 1 THEN luna_counts_event_tag(u.event, u.direction) ELSE u.direction END, u.event
            FROM unnest(dedupes, dpus, ats, directions, events) u(dedupe, dpu, at, direction, event)
            JOIN counts_dpu d ON d.account_id = account AND d.dpu_id = u.dpu
            WHERE u.dedupe <> 2 OR NOT EXISTS (
                SELECT FROM counts_reading r
                WHERE r.account_id = account AND r.dpu_id = u.dpu AND r.at = u.at
                    AND sign(r.tag) = u.direction)
            ORDER BY u.dpu, u.at -- neighbours in the index one after another: it is filled better
            ON CONFLICT DO NOTHING
            RETURNING counts_reading.dpu_id, counts_reading.at, counts_reading.tag
        )
        SELECT array_agg(i.dpu_id), array_agg(i.at), array_agg(i.tag)
        INTO stored_dpus, stored_ats, stored_tags
        FROM ins i;
    END IF;
    IF coalesce(cardinality(stored_dpus), 0) = cardinality(dpus) THEN
        PERFORM luna_counts_fold_late(account, stored_dpus, stored_ats, stored_tags);
        RETURN;
    END IF;

    -- Some were not: they repeat what is there, or each other, or are of no DPU.
    SELECT array_agg(x.ord), array_agg(x.outcome), array_agg(x.ord) FILTER (WHERE x.outcome IS NULL)
    INTO left_over, outcomes, wanted
    FROM (
        SELECT q.ord, (CASE
            WHEN NOT EXISTS (SELECT FROM counts_dpu d WHERE d.account_id = account AND d.dpu_id = q.dpu) THEN 3
            WHEN q.dedupe = 2 THEN 2
            WHEN q.dedupe = 1 AND EXISTS (
                SELECT FROM counts_reading r
                WHERE r.account_id = account AND r.dpu_id = q.dpu AND r.at = q.at
                    AND sign(r.tag) = q.direction AND r.event_id = q.event) THEN 2
            END)::smallint AS outcome
        FROM (
            SELECT u.*, row_number() OVER (PARTITION BY u.dpu, u.at, u.tag ORDER BY u.ord) AS nth
            FROM (
                SELECT v.*, CASE WHEN v.dedupe = 1 THEN luna_counts_event_tag(v.event, v.direction)
                    ELSE v.direction END AS tag
                FROM unnest(dedupes, dpus, ats, directions, events)
                    WITH ORDINALITY v(dedupe, dpu, at, direction, event, ord)
            ) u
        ) q
        LEFT JOIN unnest(stored_dpus, stored_ats, stored_tags) s(dpu, at, tag)
            ON s.dpu = q.dpu AND s.at = q.at AND s.tag = q.tag AND q.nth = 1
        WHERE s.dpu IS NULL
    ) x;

    -- Those that are wanted all the same get the next numbers of their instant.
    WHILE wanted IS NOT NULL LOOP
        WITH numbered AS (
            SELECT l.ord, l.dpu, l.at, l.event, (l.direction * (coalesce((
                SELECT max(abs(r.tag)) FROM counts_reading r
                WHERE r.account_id = account AND r.dpu_id = l.dpu AND r.at = l.at
                    AND sign(r.tag) = l.direction AND abs(r.tag) < 1073741824), 0)
                + row_number() OVER (PARTITION BY l.dpu, l.at, l.direction ORDER BY l.ord)))::integer AS tag
            FROM (
                SELECT w.ord, dpus[w.ord] AS dpu, ats[w.ord] AS at, directions[w.ord] AS direction,
                    events[w.ord] AS event
                FROM unnest(wanted) w(ord)
                OFFSET 0 -- kept apart: subscripts would not reach the index under row-level security
            ) l
        ), ins AS (
            INSERT INTO counts_reading (account_id, at, received_at, dpu_id, tag, event_id)
            SELECT account, w.at, now(), w.dpu, w.tag, w.event FROM numbered w
            ON CONFLICT DO NOTHING
            RETURNING counts_reading.dpu_id, counts_reading.at, counts_reading.tag
        )
        SELECT array_agg(i.dpu_id) FILTER (WHERE i.dpu_id IS NOT NULL),
            array_agg(i.at) FILTER (WHERE i.dpu_id IS NOT NULL),
            array_agg(i.tag) FILTER (WHERE i.dpu_id IS NOT NULL),
            array_agg(w.ord) FILTER (WHERE i.dpu_id IS NULL)
        INTO more_dpus, more_ats, more_tags, wanted
        FROM numbered w
        LEFT JOIN ins i ON i.dpu_id = w.dpu AND i.at = w.at AND i.tag = w.tag;
        stored_dpus := stored_dpus || more_dpus;
        stored_ats := stored_ats || more_ats;
        stored_tags := stored_tags || more_tags;
    END LOOP;
    IF stored_dpus IS NOT NULL THEN
        PERFORM luna_counts_fold_late(account, stored_dpus, stored_ats, stored_tags);
    END IF;
    RETURN QUERY
        SELECT l.o, l.c FROM unnest(left_over, outcomes) l(o, c) WHERE l.c IS NOT NULL ORDER BY l.o;
END
$$;

-- Plans are kept for as long as a connection lasts, and may have been made when the tables were empty: by index in any
-- case.
ALTER FUNCTION luna_counts_ingest SET enable_seqscan = off;
ALTER FUNCTION luna_counts_announce SET enable_seqscan = off;
ALTER FUNCTION luna_counts_fill SET enable_seqscan = off;
