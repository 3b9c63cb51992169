-- Roll-off of raw readings: what is older than an account wants to keep is summed up and removed.
--
-- An account's horizon is an instant that only moves forward. Before it raw readings are gone, or soon will be, and
-- checkpoints are what is left of them: at the end of each grain (an hour, unless the account says otherwise) in which a
-- DPU reported, at each beginning and end of an assignment, and at each calibration. They are made from all that was
-- there, so a count at an instant behind the horizon reads the same sums as before.
--
-- 1. The horizon is moved and committed, with the advisory lock of luna_counts_horizon_key. Who changes assignments or
--    calibrations holds it shared and then looks; writers of readings take their transaction's id and then look
--    (luna_counts_take). What is before the horizon they refuse.
-- 2. Every transaction that was running then is waited for: it may not have seen the horizon.
-- 3. luna_counts_roll_off removes the readings of some DPUs with each call: sums and removal are one transaction, so
--    that who reads sees either. It may stop between any two calls and go on at another time, in another server.
--
-- Locks: counts_dpu gets columns without a default (ACCESS EXCLUSIVE for a moment).

CREATE TABLE counts_retention (
    account_id bigint PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    retention_days integer CHECK (retention_days BETWEEN 1 AND 36500),
    grain_seconds integer NOT NULL DEFAULT 3600 CHECK (grain_seconds IN (900, 1800, 3600, 86400)),
    horizon timestamptz NOT NULL DEFAULT '-infinity',
    announced_at timestamptz NOT NULL DEFAULT '-infinity',
    done_until timestamptz NOT NULL DEFAULT '-infinity',
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN counts_retention.retention_days IS 'whole days (UTC) that raw readings are kept; NULL: for ever';
COMMENT ON COLUMN counts_retention.announced_at IS 'when the horizon was moved: nothing before it was recorded later';
COMMENT ON COLUMN counts_retention.done_until IS 'the horizon behind which no reading is left';

ALTER TABLE counts_retention ENABLE ROW LEVEL SECURITY;
ALTER TABLE counts_retention FORCE ROW LEVEL SECURITY;
CREATE POLICY counts_retention_owner ON counts_retention TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY counts_retention_own ON counts_retention TO luna_app
    USING (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint))
    WITH CHECK (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint));
GRANT SELECT, INSERT, UPDATE, DELETE ON counts_retention TO luna_app;

ALTER TABLE counts_dpu ADD COLUMN rolled_until timestamptz, ADD COLUMN rolled_seen_at timestamptz,
    ADD COLUMN rolled_received_at timestamptz;
COMMENT ON COLUMN counts_dpu.rolled_until IS 'readings before it are gone; NULL: none is';
COMMENT ON COLUMN counts_dpu.rolled_seen_at IS 'the newest of them';
COMMENT ON COLUMN counts_dpu.rolled_received_at IS 'when that one came';

CREATE FUNCTION luna_counts_horizon_key(account bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT ('x' || md5('luna_counts_horizon' || account::text))::bit(64)::bigint
$$;

-- The accounts that keep readings for a time only: for the job, which is of no account.
CREATE FUNCTION luna_counts_retained(after_account bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.account_id FROM public.counts_retention r
    WHERE r.account_id > after_account AND r.retention_days IS NOT NULL
    ORDER BY r.account_id
    LIMIT 100
$$;

-- From where on an account keeps its readings by what it wants now: a midnight in UTC.
CREATE FUNCTION luna_counts_due(account bigint) RETURNS timestamptz
LANGUAGE sql STABLE
AS $$
    SELECT greatest(r.horizon, date_trunc('day', now() - make_interval(days => r.retention_days), 'UTC'))
    FROM counts_retention r
    WHERE r.account_id = account AND r.retention_days IS NOT NULL
$$;

-- Moves the horizon to where it is due. NULL: there is nothing to do, no reading is left before it.
CREATE FUNCTION luna_counts_move_horizon(account bigint) RETURNS timestamptz
LANGUAGE plpgsql
AS $$
DECLARE
    due timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(luna_counts_horizon_key(account));
    due := luna_counts_due(account);
    UPDATE counts_retention r SET horizon = due, announced_at = clock_timestamp()
    WHERE r.account_id = account AND r.horizon < due;
    RETURN (SELECT due FROM counts_retention r WHERE r.account_id = account AND r.done_until < due);
END
$$;

-- The instants before `cut` and from `first` on at which sums of a DPU's readings must stay: the last microsecond of
-- each grain in which it reported, and of the time before an assignment begins or ends; calibrations.
CREATE FUNCTION luna_counts_lasting(account bigint, dpu integer, grain integer, first timestamptz, cut timestamptz)
RETURNS timestamptz[]
LANGUAGE sql STABLE
AS $$
    SELECT array_agg(DISTINCT i.upto)
    FROM (
        SELECT date_bin(make_interval(secs => grain), r.at, 'epoch') + make_interval(secs => grain)
            - interval '1 us' AS upto
        FROM counts_reading r
        WHERE r.account_id = account AND r.dpu_id = dpu AND r.at < cut
        UNION ALL
        SELECT edge.at - interval '1 us'
        FROM counts_assignment a
        CROSS JOIN LATERAL (VALUES (a.starts_at), (a.ends_at)) edge(at)
        WHERE a.account_id = account AND a.dpu_id = dpu AND a.superseded_at IS NULL
            AND edge.at > first AND edge.at < cut
        UNION ALL
        SELECT c.at
        FROM counts_assignment a
        JOIN counts_doorway d ON d.account_id = account AND d.doorway_id = a.doorway_id
        JOIN counts_within w ON w.account_id = account AND w.space_id IN (d.ingress_space_id, d.egress_space_id)
        JOIN counts_calibration c ON c.account_id = account AND c.space_id = w.outer_id
            AND c.at >= first AND c.at < cut
        WHERE a.account_id = account AND a.dpu_id = dpu AND a.superseded_at IS NULL
    ) i
$$;

-- Removes the readings before the horizon of DPUs from after_dpu on, `most` or a few more with one call, and leaves their
-- sums. `next_dpu`: where to go on; NULL: nothing is left. `busy`: somebody else is at it, nothing was done.
CREATE FUNCTION luna_counts_roll_off(
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

-- What luna_counts_roll_off would do with a hundred DPUs from after_dpu on, were the horizon at `due`.
CREATE FUNCTION luna_counts_roll_off_plan(
    account bigint, after_dpu integer, due timestamptz,
    OUT next_dpu integer, OUT readings bigint, OUT sums bigint
)
LANGUAGE sql STABLE
AS $$
    SELECT CASE WHEN count(*) = 100 AND max(p.dpu_id) < 2147483647 THEN max(p.dpu_id) + 1 END,
        coalesce(sum(old.readings), 0)::bigint, coalesce(sum(kept.sums), 0)::bigint
    FROM (
        SELECT d.dpu_id, r.grain_seconds FROM counts_dpu d
        JOIN counts_retention r ON r.account_id = account
        WHERE d.account_id = account AND d.dpu_id >= after_dpu
        ORDER BY d.dpu_id
        LIMIT 100
    ) p
    CROSS JOIN LATERAL (
        SELECT count(*) AS readings, min(r.at) AS head
        FROM counts_reading r
        WHERE r.account_id = account AND r.dpu_id = p.dpu_id AND r.at < due
    ) old
    CROSS JOIN LATERAL (
        SELECT CASE WHEN old.readings > 0
            THEN cardinality(luna_counts_lasting(account, p.dpu_id, p.grain_seconds, old.head, due)) END AS sums
    ) kept
$$;

-- luna_counts_ingest for what is not before the account's horizon. Outcome 7: the reading is.
CREATE FUNCTION luna_counts_take(
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

-- As in 0005, but sums of readings that are gone stay, and the others build on them.
CREATE OR REPLACE FUNCTION luna_counts_rebuild(after_account bigint, after_dpu integer, every integer)
RETURNS TABLE (account_id bigint, dpu_id integer, made bigint)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    d record;
    since timestamptz;
BEGIN
    LOCK TABLE counts_reading IN SHARE MODE;
    FOR d IN
        SELECT p.account_id, p.dpu_id, p.rolled_until FROM counts_dpu p
        WHERE (p.account_id, p.dpu_id) > (after_account, after_dpu)
        ORDER BY p.account_id, p.dpu_id
        LIMIT 100
    LOOP
        since := coalesce(d.rolled_until, '-infinity');
        DELETE FROM counts_checkpoint k
        WHERE k.account_id = d.account_id AND k.dpu_id = d.dpu_id AND k.upto >= since;
        INSERT INTO counts_checkpoint (account_id, dpu_id, filled, upto, n, net)
        SELECT DISTINCT d.account_id, d.dpu_id, true, s.at, base.n + s.n, base.net + s.net
        FROM luna_counts_prefix(d.account_id, d.dpu_id, 'infinity', since) base
        CROSS JOIN LATERAL (
            SELECT r.at, row_number() OVER (ORDER BY r.at, r.tag) AS nth, count(*) OVER upto AS n,
                sum(CASE WHEN r.tag > 0 THEN 1 ELSE -1 END) OVER upto AS net
            FROM counts_reading r
            WHERE r.account_id = d.account_id AND r.dpu_id = d.dpu_id
            WINDOW upto AS (ORDER BY r.at) -- with all readings of the same instant
        ) s
        WHERE s.nth % every = 0;
        GET DIAGNOSTICS made = ROW_COUNT;
        account_id := d.account_id;
        dpu_id := d.dpu_id;
        RETURN NEXT;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION luna_counts_horizon_key, luna_counts_retained, luna_counts_due, luna_counts_move_horizon,
    luna_counts_lasting, luna_counts_roll_off, luna_counts_roll_off_plan, luna_counts_take FROM PUBLIC;
GRANT EXECUTE ON FUNCTION luna_counts_horizon_key, luna_counts_retained, luna_counts_due, luna_counts_move_horizon,
    luna_counts_lasting, luna_counts_roll_off, luna_counts_roll_off_plan, luna_counts_take TO luna_app;
