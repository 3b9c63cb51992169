-- Readings in two thirds of the bytes, with sums by index alone.
--
-- PostgreSQL splits a page of an index where a group of keys grows (a DPU's newest reading), and so fills its pages, only
-- when an entry is at most two bigints wide; of wider ones it halves the pages, and the left halves stay half empty. So the
-- key becomes 16 bytes: account and DPU as integers, and the instant. The direction, which sums need, is in no column but in
-- the table: counts_reading_in and counts_reading_out hold the first reading of a DPU, instant and direction. Further ones,
-- which are few, have a table of their own, counts_reading_more, and `counts_reading` is all three. The other tables of the
-- counts have the account in the same type, so that they can be distributed by it together.
--
-- Locks: all tables of the counts, until the readings are copied. They take their bytes twice meanwhile.

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['space', 'within', 'doorway', 'dpu', 'assignment', 'checkpoint', 'calibration', 'retention',
        'pulse', 'pulse_floor'] LOOP
        EXECUTE format('DROP POLICY counts_%s_own ON counts_%s', t, t);
        EXECUTE format('ALTER TABLE counts_%s ALTER COLUMN account_id TYPE integer', t);
    END LOOP;
END
$$;

ALTER TABLE counts_reading RENAME TO counts_reading_wide;
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['early', '2025', '2026', '2027', '2028', '2029', 'later'] LOOP
        EXECUTE format('ALTER TABLE counts_reading_%s RENAME TO counts_reading_wide_%s', t, t);
    END LOOP;
END
$$;

-- In this order a row has no gaps: 60 bytes, and 31 of index.
DO $$
DECLARE
    way text;
    year integer;
BEGIN
    FOREACH way IN ARRAY ARRAY['in', 'out'] LOOP
        EXECUTE format('CREATE TABLE counts_reading_%s (
            account_id integer NOT NULL,
            dpu_id integer NOT NULL,
            at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            tag integer NOT NULL CHECK (tag %s 0),
            event_id text
        ) PARTITION BY RANGE (at)', way, CASE way WHEN 'in' THEN '>' ELSE '<' END);
        EXECUTE format('CREATE TABLE counts_reading_%1$s_early PARTITION OF counts_reading_%1$s
            FOR VALUES FROM (MINVALUE) TO (''2025-01-01Z'')', way);
        FOR year IN 2025 .. 2029 LOOP
            EXECUTE format('CREATE TABLE counts_reading_%1$s_%2$s PARTITION OF counts_reading_%1$s
                FOR VALUES FROM (''%2$s-01-01Z'') TO (''%3$s-01-01Z'')', way, year, year + 1);
        END LOOP;
        EXECUTE format('CREATE TABLE counts_reading_%1$s_later PARTITION OF counts_reading_%1$s
            FOR VALUES FROM (''2030-01-01Z'') TO (MAXVALUE)', way);
        EXECUTE format('INSERT INTO counts_reading_%s (account_id, dpu_id, at, received_at, tag, event_id)
            SELECT DISTINCT ON (w.account_id, w.dpu_id, w.at)
                w.account_id, w.dpu_id, w.at, w.received_at, w.tag, w.event_id
            FROM counts_reading_wide w
            WHERE w.tag %s 0
            ORDER BY w.account_id, w.dpu_id, w.at, abs(w.tag)', way, CASE way WHEN 'in' THEN '>' ELSE '<' END);
        EXECUTE format('ALTER TABLE counts_reading_%1$s ADD CONSTRAINT counts_reading_%1$s_key
            PRIMARY KEY (account_id, dpu_id, at)', way);
    END LOOP;
END
$$;

CREATE TABLE counts_reading_more (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    tag integer NOT NULL CHECK (tag <> 0),
    event_id text,
    CONSTRAINT counts_reading_more_key PRIMARY KEY (account_id, dpu_id, at, tag)
);
INSERT INTO counts_reading_more (account_id, dpu_id, at, received_at, tag, event_id)
SELECT w.account_id, w.dpu_id, w.at, w.received_at, w.tag, w.event_id
FROM (SELECT i.*, row_number() OVER (PARTITION BY i.account_id, i.dpu_id, i.at, sign(i.tag) ORDER BY abs(i.tag)) AS nth
    FROM counts_reading_wide i) w
WHERE w.nth > 1;
DROP TABLE counts_reading_wide;

CREATE VIEW counts_reading WITH (security_invoker = true) AS
    SELECT account_id, dpu_id, at, 1 AS direction, received_at, tag, event_id FROM counts_reading_in
    UNION ALL
    SELECT account_id, dpu_id, at, -1, received_at, tag, event_id FROM counts_reading_out
    UNION ALL
    SELECT account_id, dpu_id, at, CASE WHEN tag > 0 THEN 1 ELSE -1 END, received_at, tag, event_id FROM counts_reading_more;
GRANT SELECT ON counts_reading TO luna_app;

DO $$
DECLARE
    t text;
BEGIN
    FOR t IN
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relname LIKE 'counts\_reading\_%' AND relkind IN ('r', 'p')
        ORDER BY relname
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY %I ON %I TO CURRENT_USER USING (true) WITH CHECK (true)', t || '_owner', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO luna_app', t);
    END LOOP;
    FOR t IN
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relname LIKE 'counts\_%' AND relkind IN ('r', 'p')
        ORDER BY relname
    LOOP
        EXECUTE format('CREATE POLICY %I ON %I TO luna_app
            USING (account_id = (SELECT nullif(current_setting(''luna.account'', true), '''')::bigint))
            WITH CHECK (account_id = (SELECT nullif(current_setting(''luna.account'', true), '''')::bigint))',
            t || '_own', t);
    END LOOP;
END
$$;

-- As in 0004, but by index alone: sums need nothing of a row but its key.
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
        SELECT count(*) AS n, coalesce(sum(r.direction), 0) AS net
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
SET enable_seqscan = off
AS $$
DECLARE
    stored_dpus integer[];
    stored_ats timestamptz[];
    stored_tags integer[];
    more_dpus integer[];
    more_ats timestamptz[];
    more_tags integer[];
    more_refused bigint[];
    more_outcomes smallint[];
    refused bigint[];
    outcomes smallint[];
    wanted bigint[];
    look boolean := false; -- first which instants are taken: few readings repeat what is there
BEGIN
    LOOP
        BEGIN
            WITH fresh AS (
                SELECT DISTINCT ON (u.dpu, u.at, u.direction) u.dpu, u.at,
                    CASE WHEN u.dedupe = 1 THEN luna_counts_event_tag(u.event, u.direction) ELSE u.direction END AS tag, u.event
                FROM unnest(dedupes, dpus, ats, directions, events) WITH ORDINALITY u(dedupe, dpu, at, direction, event, nth)
                JOIN counts_dpu d ON d.account_id = account AND d.dpu_id = u.dpu
                -- Not r.at = u.at: a plan made while the table is small would read all of it, and be kept.
                WHERE NOT look OR NOT EXISTS (
                    SELECT FROM counts_reading r
                    WHERE r.account_id = account AND r.dpu_id = u.dpu AND r.direction = u.direction
                        AND r.at >= u.at AND r.at <= u.at)
                ORDER BY u.dpu, u.at, u.direction, u.nth -- neighbours in the index one after another
            ), came_in AS (
                INSERT INTO counts_reading_in (account_id, dpu_id, at, received_at, tag, event_id)
                SELECT account, f.dpu, f.at, now(), f.tag, f.event FROM fresh f WHERE f.tag > 0
                RETURNING dpu_id, at, tag
            ), went_out AS (
                INSERT INTO counts_reading_out (account_id, dpu_id, at, received_at, tag, event_id)
                SELECT account, f.dpu, f.at, now(), f.tag, f.event FROM fresh f WHERE f.tag < 0
                RETURNING dpu_id, at, tag
            )
            SELECT array_agg(i.dpu_id), array_agg(i.at), array_agg(i.tag)
            INTO stored_dpus, stored_ats, stored_tags
            FROM (SELECT * FROM came_in UNION ALL SELECT * FROM went_out) i;
            EXIT;
        EXCEPTION
            WHEN unique_violation THEN -- there before, or by another writer just now
                look := true;
        END;
    END LOOP;
    IF coalesce(cardinality(stored_dpus), 0) = cardinality(dpus) THEN
        PERFORM luna_counts_fold_late(account, stored_dpus, stored_ats, stored_tags);
        RETURN;
    END IF;

    -- Some were not: they repeat what is there, or each other, or are of no DPU.
    SELECT array_agg(q.nth) INTO wanted
    FROM (
        SELECT u.dpu, u.at, u.direction, u.nth,
            row_number() OVER (PARTITION BY u.dpu, u.at, u.direction ORDER BY u.nth) AS of_instant
        FROM unnest(dpus, ats, directions) WITH ORDINALITY u(dpu, at, direction, nth)
    ) q
    LEFT JOIN unnest(stored_dpus, stored_ats, stored_tags) s(dpu, at, tag)
        ON s.dpu = q.dpu AND s.at = q.at AND sign(s.tag) = q.direction AND q.of_instant = 1
    WHERE s.dpu IS NULL;

    -- Of those, some are told; the others are further ones of their instant, with a tag that is free. When another writer
    -- takes it first, they are looked at once more.
    WHILE wanted IS NOT NULL LOOP
        WITH left_over AS (
            SELECT w.nth, dedupes[w.nth] AS dedupe, dpus[w.nth] AS dpu, ats[w.nth] AS at, directions[w.nth] AS direction,
                events[w.nth] AS event
            FROM unnest(wanted) w(nth)
            OFFSET 0 -- kept apart: subscripts would not reach the index under row-level security
        ), told AS (
            SELECT l.*, (CASE
                WHEN NOT EXISTS (SELECT FROM counts_dpu d WHERE d.account_id = account AND d.dpu_id = l.dpu) THEN 3
                WHEN l.dedupe <> 0 AND EXISTS (
                    SELECT FROM counts_reading r
                    WHERE r.account_id = account AND r.dpu_id = l.dpu AND r.at = l.at
                        AND r.direction = l.direction AND (l.dedupe = 2 OR r.event_id = l.event)) THEN 2
                END)::smallint AS outcome,
                CASE l.dedupe WHEN 1 THEN luna_counts_event_tag(l.event, l.direction) WHEN 2 THEN l.direction END AS own
            FROM left_over l
        ), fresh AS (
            SELECT t.nth, t.dpu, t.at, t.direction, t.event,
                -- Two event ids may have one tag.
                CASE WHEN NOT EXISTS (
                    SELECT FROM counts_reading r
                    WHERE r.account_id = account AND r.dpu_id = t.dpu AND r.at = t.at AND r.tag = t.own) THEN t.own
                END AS own
            FROM told t
            WHERE t.outcome IS NULL
        ), numbered AS (
            SELECT f.nth, f.dpu, f.at, f.event, coalesce(f.own, f.direction * (coalesce((
                SELECT max(abs(r.tag)) FROM counts_reading r
                WHERE r.account_id = account AND r.dpu_id = f.dpu AND r.at = f.at
                    AND r.direction = f.direction AND abs(r.tag) < 1073741824), 0)
                + row_number() OVER (PARTITION BY f.dpu, f.at, f.direction, f.own IS NULL ORDER BY f.nth)))::integer AS tag
            FROM fresh f
        ), ins AS (
            INSERT INTO counts_reading_more (account_id, dpu_id, at, received_at, tag, event_id)
            SELECT account, n.dpu, n.at, now(), n.tag, n.event FROM numbered n ORDER BY n.dpu, n.at, n.tag, n.nth
            ON CONFLICT DO NOTHING
            RETURNING counts_reading_more.dpu_id, counts_reading_more.at, counts_reading_more.tag
        ), placed AS (
            SELECT n.nth, n.dpu, n.at, n.tag, i.dpu_id IS NOT NULL
                AND row_number() OVER (PARTITION BY n.dpu, n.at, n.tag ORDER BY n.nth) = 1 AS stored
            FROM numbered n
            LEFT JOIN ins i ON i.dpu_id = n.dpu AND i.at = n.at AND i.tag = n.tag
        )
        SELECT array_agg(p.dpu) FILTER (WHERE p.stored), array_agg(p.at) FILTER (WHERE p.stored),
            array_agg(p.tag) FILTER (WHERE p.stored), array_agg(p.nth) FILTER (WHERE NOT p.stored),
            (SELECT array_agg(t.nth) FROM told t WHERE t.outcome IS NOT NULL),
            (SELECT array_agg(t.outcome) FROM told t WHERE t.outcome IS NOT NULL)
        INTO more_dpus, more_ats, more_tags, wanted, more_refused, more_outcomes
        FROM placed p;
        stored_dpus := stored_dpus || more_dpus;
        stored_ats := stored_ats || more_ats;
        stored_tags := stored_tags || more_tags;
        refused := refused || more_refused;
        outcomes := outcomes || more_outcomes;
    END LOOP;
    IF stored_dpus IS NOT NULL THEN
        PERFORM luna_counts_fold_late(account, stored_dpus, stored_ats, stored_tags);
    END IF;
    RETURN QUERY SELECT r.nth, r.outcome FROM unnest(refused, outcomes) r(nth, outcome) ORDER BY r.nth;
END
$$;

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
        DELETE FROM counts_reading_more r WHERE r.account_id = account AND r.dpu_id = d.dpu_id AND r.at < cut;
        GET DIAGNOSTICS n = ROW_COUNT;
        readings := readings + n;
        DELETE FROM counts_reading_in r WHERE r.account_id = account AND r.dpu_id = d.dpu_id AND r.at < cut;
        GET DIAGNOSTICS n = ROW_COUNT;
        readings := readings + n;
        DELETE FROM counts_reading_out r WHERE r.account_id = account AND r.dpu_id = d.dpu_id AND r.at < cut;
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

-- As in 0004, by index alone.
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
            SELECT count(*) AS n, coalesce(sum(r.direction), 0) AS net
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
    IF cardinality(ats) < 256 THEN -- planning takes as long as storing so few; more are worth a plan of their own
        PERFORM set_config('plan_cache_mode', 'force_generic_plan', true);
    END IF;
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
    -- In one order, so that two writers cannot deadlock: rows are locked as they come out of the sort, however joined.
    PERFORM 1
    FROM unnest(late_dpus, since) f(dpu, at)
    JOIN counts_checkpoint k ON k.account_id = account AND k.dpu_id = f.dpu AND k.upto >= f.at
    ORDER BY k.dpu_id, k.upto
    FOR UPDATE OF k;
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
