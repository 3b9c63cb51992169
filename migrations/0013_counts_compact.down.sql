DROP VIEW counts_reading;
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['space', 'within', 'doorway', 'dpu', 'assignment', 'checkpoint', 'calibration', 'retention',
        'pulse', 'pulse_floor'] LOOP
        EXECUTE format('DROP POLICY counts_%s_own ON counts_%s', t, t);
        EXECUTE format('ALTER TABLE counts_%s ALTER COLUMN account_id TYPE bigint', t);
    END LOOP;
END
$$;

CREATE TABLE counts_reading (
    account_id bigint NOT NULL,
    at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    dpu_id integer NOT NULL,
    tag integer NOT NULL CHECK (tag <> 0),
    event_id text,
    PRIMARY KEY (account_id, dpu_id, at, tag)
) PARTITION BY RANGE (at);
CREATE TABLE counts_reading_early PARTITION OF counts_reading
    FOR VALUES FROM (MINVALUE) TO ('2025-01-01Z');
CREATE TABLE counts_reading_2025 PARTITION OF counts_reading
    FOR VALUES FROM ('2025-01-01Z') TO ('2026-01-01Z');
CREATE TABLE counts_reading_2026 PARTITION OF counts_reading
    FOR VALUES FROM ('2026-01-01Z') TO ('2027-01-01Z');
CREATE TABLE counts_reading_2027 PARTITION OF counts_reading
    FOR VALUES FROM ('2027-01-01Z') TO ('2028-01-01Z');
CREATE TABLE counts_reading_2028 PARTITION OF counts_reading
    FOR VALUES FROM ('2028-01-01Z') TO ('2029-01-01Z');
CREATE TABLE counts_reading_2029 PARTITION OF counts_reading
    FOR VALUES FROM ('2029-01-01Z') TO ('2030-01-01Z');
CREATE TABLE counts_reading_later PARTITION OF counts_reading
    FOR VALUES FROM ('2030-01-01Z') TO (MAXVALUE);
-- Rows are appended in the order they are received: some bytes for a hundred pages are enough.
CREATE INDEX counts_reading_received ON counts_reading USING brin (received_at);

INSERT INTO counts_reading (account_id, at, received_at, dpu_id, tag, event_id)
SELECT r.account_id, r.at, r.received_at, r.dpu_id, r.tag, r.event_id
FROM (SELECT * FROM counts_reading_in UNION ALL SELECT * FROM counts_reading_out UNION ALL
    SELECT * FROM counts_reading_more) r
ORDER BY r.account_id, r.dpu_id, r.at, r.tag;
DROP TABLE counts_reading_in;
DROP TABLE counts_reading_out;
DROP TABLE counts_reading_more;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['reading', 'reading_early', 'reading_2025', 'reading_2026', 'reading_2027', 'reading_2028',
        'reading_2029', 'reading_later'] LOOP
        EXECUTE format('ALTER TABLE counts_%s ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE counts_%s FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY counts_%s_owner ON counts_%s TO CURRENT_USER USING (true)
            WITH CHECK (true)', t, t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON counts_%s TO luna_app', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['space', 'within', 'doorway', 'dpu', 'assignment', 'checkpoint', 'calibration', 'retention',
        'pulse', 'pulse_floor', 'reading', 'reading_early', 'reading_2025', 'reading_2026', 'reading_2027', 'reading_2028',
        'reading_2029', 'reading_later'] LOOP
        EXECUTE format('CREATE POLICY counts_%s_own ON counts_%s TO luna_app
            USING (account_id = (SELECT nullif(current_setting(''luna.account'', true), '''')::bigint))
            WITH CHECK (account_id = (SELECT nullif(current_setting(''luna.account'', true), '''')::bigint))',
            t, t);
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION luna_counts_prefix(account bigint, dpu integer, t timestamptz, fore timestamptz)
RETURNS TABLE (n bigint, net bigint)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(c.n, 0) + tail.n, coalesce(c.net, 0) + tail.net
    FROM (SELECT 1) one
    LEFT JOIN LATERAL (
        SELECT k.upto, k.n, k.net
        FROM counts_checkpoint k
        WHERE k.account_id = account AND k.dpu_id = dpu AND k.upto <= t AND k.upto < fore AND k.filled
        ORDER BY k.upto DESC
        LIMIT 1
    ) c ON true
    CROSS JOIN LATERAL (
        SELECT count(*) AS n, coalesce(sum(CASE WHEN r.tag > 0 THEN 1 ELSE -1 END), 0) AS net
        FROM counts_reading r
        WHERE r.account_id = account AND r.dpu_id = dpu AND r.at <= t AND r.at < fore
            AND r.at > CASE WHEN c.upto IS NULL THEN '-infinity'::timestamptz ELSE c.upto END
    ) tail
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
ALTER FUNCTION luna_counts_ingest SET enable_seqscan = off;

-- Removes the readings before the horizon of DPUs from after_dpu on, `most` or a few more with one call, and leaves their
-- sums. `next_dpu`: where to go on; NULL: nothing is left. `busy`: somebody else is at it, nothing was done.
CREATE OR REPLACE FUNCTION luna_counts_roll_off(
    account bigint, after_dpu integer, most integer,
    OUT next_dpu integer, OUT readings bigint, OUT sums bigint, OUT busy boolean
)
LANGUAGE plpgsql
AS $$
DECLARE
    policy counts_retention;
    grain interval;
    d record;
    head timestamptz;
    edge timestamptz;
    cut timestamptz;
    keep timestamptz[];
    n bigint;
    looked integer := 0;
BEGIN
    readings := 0;
    sums := 0;
    busy := NOT pg_try_advisory_xact_lock(luna_counts_horizon_key(account) # 1);
    IF busy THEN
        RETURN;
    END IF;
    PERFORM pg_current_xact_id(); -- who fills a checkpoint that is announced from now on waits for this transaction
    SELECT * INTO policy FROM counts_retention r WHERE r.account_id = account;
    grain := make_interval(secs => policy.grain_seconds);
    FOR d IN
        SELECT p.dpu_id FROM counts_dpu p
        WHERE p.account_id = account AND p.dpu_id >= after_dpu
        ORDER BY p.dpu_id
        LIMIT 200
    LOOP
        looked := looked + 1;
        next_dpu := d.dpu_id;
        SELECT r.at INTO head FROM counts_reading r
        WHERE r.account_id = account AND r.dpu_id = d.dpu_id AND r.at < policy.horizon
        ORDER BY r.at LIMIT 1;
        CONTINUE WHEN head IS NULL;
        SELECT r.at INTO edge FROM counts_reading r
        WHERE r.account_id = account AND r.dpu_id = d.dpu_id AND r.at < policy.horizon
        ORDER BY r.at OFFSET most LIMIT 1;
        cut := CASE WHEN edge IS NULL THEN policy.horizon
            ELSE greatest(date_bin(grain, edge, 'epoch'), date_bin(grain, head, 'epoch') + grain) END;
        -- Who fills one of these looks for its base once it has it: before all this, or behind it.
        PERFORM 1 FROM counts_checkpoint k
        WHERE k.account_id = account AND k.dpu_id = d.dpu_id AND NOT k.filled
        ORDER BY k.upto
        FOR UPDATE;
        keep := luna_counts_lasting(account, d.dpu_id, policy.grain_seconds, head, cut);
        INSERT INTO counts_checkpoint AS c (account_id, dpu_id, filled, upto, n, net)
        SELECT account, d.dpu_id, true, u.upto, p.n, p.net
        FROM unnest(keep) u(upto)
        CROSS JOIN LATERAL luna_counts_prefix(account, d.dpu_id, u.upto, 'infinity') p
        ON CONFLICT (account_id, dpu_id, upto) DO UPDATE SET filled = true, n = excluded.n, net = excluded.net;
        DELETE FROM counts_checkpoint k
        WHERE k.account_id = account AND k.dpu_id = d.dpu_id AND k.upto >= head AND k.upto < cut
            AND k.upto <> ALL (keep);
        UPDATE counts_dpu p
        SET rolled_until = cut, rolled_seen_at = newest.at, rolled_received_at = newest.received_at
        FROM (
            SELECT r.at, r.received_at FROM counts_reading r
            WHERE r.account_id = account AND r.dpu_id = d.dpu_id AND r.at < cut
            ORDER BY r.at DESC LIMIT 1
        ) newest
        WHERE p.account_id = account AND p.dpu_id = d.dpu_id;
        DELETE FROM counts_reading r WHERE r.account_id = account AND r.dpu_id = d.dpu_id AND r.at < cut;
        GET DIAGNOSTICS n = ROW_COUNT;
        readings := readings + n;
        sums := sums + cardinality(keep);
        IF readings >= most OR cut < policy.horizon THEN
            RETURN; -- to go on with this DPU, of which something may be left
        END IF;
    END LOOP;
    next_dpu := CASE WHEN looked = 200 AND next_dpu < 2147483647 THEN next_dpu + 1 END;
END
$$;

CREATE OR REPLACE FUNCTION luna_counts_fill(account bigint, dpus integer[], uptos timestamptz[]) RETURNS bigint
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
DECLARE
    i integer;
    dpu integer;
    this timestamptz;
    before timestamptz;
    base counts_checkpoint;
    done bigint := 0;
BEGIN
    FOR i IN 1 .. coalesce(cardinality(dpus), 0) LOOP
        -- Locked first and read then, each with a snapshot of its own: what a writer has added meanwhile is
        -- committed and among the readings, what one will add is not.
        dpu := dpus[i];
        this := uptos[i];
        before := '-infinity';
        SELECT b.upto INTO before FROM counts_checkpoint b
        WHERE b.account_id = account AND b.dpu_id = dpu AND b.upto < this AND b.filled
        ORDER BY b.upto DESC LIMIT 1;
        before := coalesce(before, '-infinity');
        PERFORM 1 FROM counts_checkpoint k
        WHERE k.account_id = account AND k.dpu_id = dpu AND k.upto <= this AND k.upto >= before
        ORDER BY k.upto
        FOR UPDATE;
        base := NULL;
        SELECT * INTO base FROM counts_checkpoint b
        WHERE b.account_id = account AND b.dpu_id = dpu AND b.upto < this AND b.filled
        ORDER BY b.upto DESC LIMIT 1;
        before := coalesce(base.upto, '-infinity');
        UPDATE counts_checkpoint k
        SET filled = true, n = coalesce(base.n, 0) + s.n, net = coalesce(base.net, 0) + s.net
        FROM (
            SELECT count(*) AS n, coalesce(sum(CASE WHEN r.tag > 0 THEN 1 ELSE -1 END), 0) AS net
            FROM counts_reading r
            WHERE r.account_id = account AND r.dpu_id = dpu AND r.at <= this AND r.at > before
        ) s
        WHERE k.account_id = account AND k.dpu_id = dpu AND k.upto = this AND NOT k.filled;
        done := done + 1;
    END LOOP;
    RETURN done;
END
$$;

-- luna_counts_ingest for what is not before the account's horizon. Outcome 7: the reading is.
CREATE OR REPLACE FUNCTION luna_counts_take(
    account bigint, dedupes smallint[], dpus integer[], ats timestamptz[], directions smallint[], events text[]
) RETURNS TABLE (ord bigint, outcome smallint)
LANGUAGE plpgsql
AS $$
DECLARE
    since timestamptz;
    kept bigint[];
BEGIN
    -- The id first, and then a look with a snapshot of its own: who moves the horizon waits for this transaction, or
    -- it is seen here.
    PERFORM pg_current_xact_id();
    since := (SELECT r.horizon FROM counts_retention r WHERE r.account_id = account);
    IF since IS NULL OR since <= ALL (ats) THEN
        RETURN QUERY SELECT i.ord, i.outcome FROM luna_counts_ingest(account, dedupes, dpus, ats, directions, events) i;
        RETURN;
    END IF;
    RETURN QUERY SELECT u.ord, 7::smallint FROM unnest(ats) WITH ORDINALITY u(at, ord) WHERE u.at < since;
    SELECT array_agg(u.ord ORDER BY u.ord), array_agg(u.dedupe ORDER BY u.ord), array_agg(u.dpu ORDER BY u.ord),
        array_agg(u.at ORDER BY u.ord), array_agg(u.direction ORDER BY u.ord), array_agg(u.event ORDER BY u.ord)
    INTO kept, dedupes, dpus, ats, directions, events
    FROM unnest(dedupes, dpus, ats, directions, events) WITH ORDINALITY u(dedupe, dpu, at, direction, event, ord)
    WHERE u.at >= since;
    IF kept IS NOT NULL THEN
        RETURN QUERY
            SELECT kept[i.ord], i.outcome
            FROM luna_counts_ingest(account, dedupes, dpus, ats, directions, events) i;
    END IF;
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
