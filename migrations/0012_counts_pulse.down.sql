ALTER FUNCTION luna_counts_ingest RESET enable_seqscan;
ALTER FUNCTION luna_counts_announce RESET enable_seqscan;
ALTER FUNCTION luna_counts_fill RESET enable_seqscan;
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['counts_space', 'counts_within', 'counts_doorway', 'counts_assignment'] LOOP
        EXECUTE format('DROP TRIGGER %s_inserted ON %s', t, t);
        EXECUTE format('DROP TRIGGER %s_updated ON %s', t, t);
        EXECUTE format('DROP TRIGGER %s_deleted ON %s', t, t);
    END LOOP;
END
$$;
DROP FUNCTION luna_counts_all_different;
-- Readings that were inserted in this transaction are added to the checkpoints behind them.
CREATE OR REPLACE FUNCTION luna_counts_fold_late(account bigint, dpus integer[], ats timestamptz[], tags integer[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    late_dpus integer[];
    since timestamptz[];
BEGIN
    -- The last checkpoint of each DPU tells whether anything is late: seldom.
    SELECT array_agg(f.dpu ORDER BY f.dpu), array_agg(f.at ORDER BY f.dpu) INTO late_dpus, since
    FROM (SELECT u.dpu, min(u.at) AS at FROM unnest(dpus, ats) u(dpu, at) GROUP BY u.dpu) f
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
        WHERE u.dpu = ANY (late_dpus)
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
    fast boolean := false;
BEGIN
    IF cardinality(dpus) >= 256 THEN
        BEGIN
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
    IF NOT fast THEN
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
DROP TABLE counts_pulse_floor;
DROP TABLE counts_pulse;
