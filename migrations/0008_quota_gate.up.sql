-- The quota gate: what Redis may spend, what it has spent, and what happened.
--
-- Redis decides, Postgres knows. Redis spends an account's quota within an epoch: a row here that says
-- how much it may have spent at most (granted) and how much of that has arrived (settled, which is
-- part of account.quota_used). So whatever Redis loses,
--
--     quota_used + sum(granted - settled) <= quota_limit
--
-- holds for each account, and with it "admitted <= limit". Spent units arrive in flushes with numbers
-- that only grow: one that comes twice counts once. When Redis has lost an epoch, each reactor that may
-- have admitted calls in it (an actor) reports what it remembers of the flushes that did not arrive;
-- when all have, the epoch is closed and the rest of its grant is free again. What an actor that died
-- meanwhile may have admitted is counted as used.
--
-- Locks: new tables only.

CREATE SEQUENCE quota_epoch_number;

CREATE TABLE quota_epoch (
    account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    epoch bigint NOT NULL,
    period_start timestamptz NOT NULL,
    lost boolean NOT NULL DEFAULT false,
    granted bigint NOT NULL,
    settled bigint NOT NULL DEFAULT 0,
    grant_no bigint NOT NULL DEFAULT 1,
    flushed bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account_id, epoch)
);
CREATE INDEX quota_epoch_lost ON quota_epoch (account_id, epoch) WHERE lost;
CREATE INDEX quota_epoch_granted ON quota_epoch (checked_at) WHERE granted > settled;

CREATE TABLE quota_actor (
    actor_id bigint PRIMARY KEY,
    seen_at timestamptz NOT NULL
);

CREATE TABLE quota_report (
    account_id bigint NOT NULL,
    epoch bigint NOT NULL,
    actor_id bigint NOT NULL,
    flush bigint NOT NULL,
    field text NOT NULL,
    units bigint NOT NULL,
    PRIMARY KEY (account_id, epoch, actor_id, flush, field),
    FOREIGN KEY (account_id, epoch) REFERENCES quota_epoch ON DELETE CASCADE
);

CREATE TABLE quota_reported (
    account_id bigint NOT NULL,
    epoch bigint NOT NULL,
    actor_id bigint NOT NULL,
    PRIMARY KEY (account_id, epoch, actor_id),
    FOREIGN KEY (account_id, epoch) REFERENCES quota_epoch ON DELETE CASCADE
);

CREATE TABLE quota_usage (
    account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    day date NOT NULL,
    method text NOT NULL,
    units bigint NOT NULL,
    PRIMARY KEY (account_id, day, method)
);

CREATE TABLE quota_reservation (
    account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    request_id text NOT NULL CHECK (char_length(request_id) BETWEEN 1 AND 128),
    state text NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'committed', 'released', 'expired')),
    cost bigint NOT NULL CHECK (cost > 0),
    actual bigint NOT NULL DEFAULT 0 CHECK (actual BETWEEN 0 AND cost),
    period_start timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (account_id, request_id)
);
CREATE INDEX quota_reservation_held ON quota_reservation (expires_at) WHERE state = 'held';

-- ---- who sees what ------------------------------------------------------------------------------

ALTER TABLE quota_epoch ENABLE ROW LEVEL SECURITY;
ALTER TABLE quota_epoch FORCE ROW LEVEL SECURITY;
ALTER TABLE quota_actor ENABLE ROW LEVEL SECURITY;
ALTER TABLE quota_actor FORCE ROW LEVEL SECURITY;
ALTER TABLE quota_report ENABLE ROW LEVEL SECURITY;
ALTER TABLE quota_report FORCE ROW LEVEL SECURITY;
ALTER TABLE quota_reported ENABLE ROW LEVEL SECURITY;
ALTER TABLE quota_reported FORCE ROW LEVEL SECURITY;
ALTER TABLE quota_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE quota_usage FORCE ROW LEVEL SECURITY;
ALTER TABLE quota_reservation ENABLE ROW LEVEL SECURITY;
ALTER TABLE quota_reservation FORCE ROW LEVEL SECURITY;
CREATE POLICY quota_epoch_owner ON quota_epoch TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY quota_actor_owner ON quota_actor TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY quota_report_owner ON quota_report TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY quota_reported_owner ON quota_reported TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY quota_usage_owner ON quota_usage TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY quota_usage_own ON quota_usage FOR SELECT TO luna_app
    USING (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint)
           OR (SELECT current_setting('luna.role', true)) = 'admin');
CREATE POLICY quota_reservation_owner ON quota_reservation TO CURRENT_USER
    USING (true) WITH CHECK (true);

GRANT SELECT ON quota_usage TO luna_app;

-- ---- epochs -------------------------------------------------------------------------------------

-- What applies to an account's calls.
CREATE FUNCTION luna_quota_limits(
    p_account bigint, OUT account_capacity bigint, OUT account_unit_us bigint, OUT key_capacity bigint,
    OUT key_unit_us bigint, OUT concurrent_calls bigint, OUT report_only boolean
) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(p.account_capacity, 0), coalesce(p.account_unit_us, 0), coalesce(p.key_capacity, 0),
           coalesce(p.key_unit_us, 0), coalesce(p.concurrent_calls, 0), coalesce(p.report_only, false)
    FROM public.account a LEFT JOIN public.plan p ON p.plan_id = a.plan_id
    WHERE a.account_id = p_account
$$;

-- A new epoch for an account whose quota is not in Redis. p_seen: the newest epoch that the caller has
-- seen there. state: 'opened'; 'wait': somebody has just opened one and is about to put it into Redis;
-- 'none': there is no such account.
CREATE FUNCTION luna_quota_open(
    p_account bigint, p_seen bigint, p_chunk bigint, OUT state text, OUT epoch bigint, OUT version bigint,
    OUT quota_limit bigint, OUT base bigint, OUT granted bigint, OUT grant_no bigint,
    OUT period_end timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    a public.account;
    start timestamptz;
    held bigint;
BEGIN
    SELECT * INTO a FROM public.account x WHERE x.account_id = p_account FOR UPDATE;
    IF NOT FOUND THEN
        state := 'none';
        RETURN;
    END IF;
    start := public.luna_period_start(a.quota_period, clock_timestamp());
    IF start <> a.period_start THEN
        UPDATE public.account x SET period_start = start, quota_used = 0 WHERE x.account_id = p_account;
        a.quota_used := 0;
        a.period_start := start;
    END IF;
    PERFORM FROM public.quota_epoch e
    WHERE e.account_id = p_account AND NOT e.lost AND e.period_start = start
        AND e.epoch > p_seen AND e.opened_at > clock_timestamp() - interval '3 s';
    IF FOUND THEN
        state := 'wait';
        RETURN;
    END IF;
    UPDATE public.quota_epoch e SET lost = true WHERE e.account_id = p_account AND NOT e.lost;
    DELETE FROM public.quota_epoch e WHERE e.account_id = p_account AND e.granted = e.settled;
    SELECT coalesce(sum(e.granted - e.settled), 0) INTO held
    FROM public.quota_epoch e WHERE e.account_id = p_account AND e.period_start = start;
    granted := greatest(0, least(p_chunk, a.quota_limit - a.quota_used - held));
    INSERT INTO public.quota_epoch AS e (account_id, epoch, period_start, granted)
    VALUES (p_account, nextval('public.quota_epoch_number'), start, granted)
    RETURNING e.epoch, e.version, e.grant_no INTO epoch, version, grant_no;
    state := 'opened';
    quota_limit := a.quota_limit;
    base := a.quota_used;
    period_end := public.luna_period_end(a.quota_period, start);
END
$$;

-- Counts units of an epoch as used.
CREATE FUNCTION luna_quota_count(
    p_account bigint, p_epoch bigint, p_fields text[], p_units bigint[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    total bigint;
BEGIN
    SELECT coalesce(sum(u), 0) INTO total FROM unnest(p_units) u;
    UPDATE public.account a SET quota_used = greatest(0, a.quota_used + total)
    FROM public.quota_epoch e
    WHERE a.account_id = p_account AND e.account_id = p_account AND e.epoch = p_epoch
        AND e.period_start = a.period_start;
    UPDATE public.quota_epoch e SET settled = e.settled + total
    WHERE e.account_id = p_account AND e.epoch = p_epoch;
    INSERT INTO public.quota_usage AS u (account_id, day, method, units)
    SELECT p_account, date '1970-01-01' + split_part(f, '|', 1)::int, split_part(f, '|', 2), sum(n)
    FROM unnest(p_fields, p_units) AS x(f, n)
    GROUP BY 2, 3
    ON CONFLICT (account_id, day, method) DO UPDATE SET units = u.units + excluded.units;
END
$$;

-- Takes in a flush (0: none, only to learn what holds now) and grants what may be spent next.
-- state: 'settled', or 'closed': the epoch is over, Redis must not spend in it any more.
CREATE FUNCTION luna_quota_settle(
    p_account bigint, p_epoch bigint, p_flush bigint, p_fields text[], p_units bigint[], p_chunk bigint,
    OUT state text, OUT version bigint, OUT quota_limit bigint, OUT base bigint, OUT granted bigint,
    OUT grant_no bigint, OUT settled bigint, OUT added bigint
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    a public.account;
    e public.quota_epoch;
    held bigint;
BEGIN
    added := 0;
    SELECT * INTO a FROM public.account x WHERE x.account_id = p_account FOR UPDATE;
    SELECT * INTO e FROM public.quota_epoch x
    WHERE x.account_id = p_account AND x.epoch = p_epoch FOR UPDATE;
    IF NOT FOUND THEN
        state := 'closed';
        RETURN;
    END IF;
    IF p_flush > e.flushed THEN
        -- What actors have reported of this flush is part of it.
        p_fields := p_fields || ARRAY(SELECT r.field FROM public.quota_report r
            WHERE r.account_id = p_account AND r.epoch = p_epoch AND r.flush = p_flush
            ORDER BY r.actor_id, r.field);
        p_units := p_units || ARRAY(SELECT -r.units FROM public.quota_report r
            WHERE r.account_id = p_account AND r.epoch = p_epoch AND r.flush = p_flush
            ORDER BY r.actor_id, r.field);
        PERFORM public.luna_quota_count(p_account, p_epoch, p_fields, p_units);
        SELECT coalesce(sum(u), 0) INTO added FROM unnest(p_units) u;
        a.quota_used := greatest(0, a.quota_used
            + CASE WHEN a.period_start = e.period_start THEN added ELSE 0 END);
        e.settled := e.settled + added;
        e.flushed := p_flush;
    END IF;
    SELECT coalesce(sum(x.granted - x.settled), 0) INTO held FROM public.quota_epoch x
    WHERE x.account_id = p_account AND x.epoch <> p_epoch AND x.period_start = a.period_start;
    granted := e.settled + greatest(0, least(p_chunk, a.quota_limit - a.quota_used - held));
    IF e.period_start = a.period_start AND NOT e.lost AND granted > e.granted THEN
        e.granted := granted;
        e.grant_no := e.grant_no + 1;
    END IF;
    UPDATE public.quota_epoch x
    SET granted = e.granted, grant_no = e.grant_no, flushed = e.flushed, version = x.version + 1,
        settled_at = clock_timestamp(), checked_at = clock_timestamp()
    WHERE x.account_id = p_account AND x.epoch = p_epoch
    RETURNING x.version INTO version;
    state := 'settled';
    quota_limit := a.quota_limit;
    base := CASE WHEN a.period_start = e.period_start THEN a.quota_used - e.settled ELSE 0 END;
    granted := e.granted;
    grant_no := e.grant_no;
    settled := e.settled;
END
$$;

-- Redis has given back what was granted beyond `p_spent`.
CREATE FUNCTION luna_quota_retire(
    p_account bigint, p_epoch bigint, p_grant_no bigint, p_spent bigint
) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH a AS MATERIALIZED (
        SELECT x.account_id FROM public.account x WHERE x.account_id = p_account FOR UPDATE
    ), done AS (
        UPDATE public.quota_epoch e SET granted = p_spent
        FROM a
        WHERE e.account_id = a.account_id AND e.epoch = p_epoch AND e.grant_no = p_grant_no
            AND e.settled = p_spent AND NOT e.lost
        RETURNING 1
    )
    SELECT count(*) FROM done
$$;

-- A lost epoch is closed when everybody who may have admitted calls in it has reported. An actor that
-- is dead cannot: unless all it had admitted arrived before, the whole grant counts as used.
CREATE FUNCTION luna_quota_close(p_account bigint, p_epoch bigint, p_dead_s float8) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    e public.quota_epoch;
    unreported timestamptz;
BEGIN
    PERFORM FROM public.account a WHERE a.account_id = p_account FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO e FROM public.quota_epoch x
    WHERE x.account_id = p_account AND x.epoch = p_epoch AND x.lost
        AND x.opened_at < clock_timestamp() - interval '3 s';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT max(s.seen_at) INTO unreported FROM public.quota_actor s
    WHERE NOT EXISTS (SELECT FROM public.quota_reported r
                      WHERE r.account_id = p_account AND r.epoch = p_epoch AND r.actor_id = s.actor_id)
        AND s.seen_at > e.opened_at - interval '1 min'
        AND s.seen_at > e.settled_at - interval '1 min';
    IF unreported > clock_timestamp() - make_interval(secs => p_dead_s) THEN
        RETURN;
    END IF;
    IF unreported IS NOT NULL AND e.granted > e.settled THEN
        PERFORM public.luna_quota_event(p_account, 'grant_written_off', jsonb_build_object(
            'units', e.granted - e.settled, 'epoch', p_epoch));
        PERFORM public.luna_quota_count(p_account, p_epoch,
            ARRAY[(clock_timestamp() AT TIME ZONE 'UTC')::date - date '1970-01-01' || '|written off'],
            ARRAY[e.granted - e.settled]);
    END IF;
    DELETE FROM public.quota_epoch x WHERE x.account_id = p_account AND x.epoch = p_epoch;
    PERFORM pg_notify('luna_quota', p_account::text);
END
$$;

-- What an actor remembers of a lost epoch: units of each flush and field.
CREATE FUNCTION luna_quota_report(
    p_actor bigint, p_account bigint, p_epoch bigint, p_flushes bigint[], p_fields text[],
    p_units bigint[], p_dead_s float8
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    e public.quota_epoch;
    fields text[];
    units bigint[];
BEGIN
    PERFORM FROM public.account a WHERE a.account_id = p_account FOR UPDATE;
    SELECT * INTO e FROM public.quota_epoch x
    WHERE x.account_id = p_account AND x.epoch = p_epoch AND x.lost;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    INSERT INTO public.quota_reported VALUES (p_account, p_epoch, p_actor) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        WITH kept AS (
            INSERT INTO public.quota_report (account_id, epoch, actor_id, flush, field, units)
            SELECT p_account, p_epoch, p_actor, f, d, sum(n)
            FROM unnest(p_flushes, p_fields, p_units) AS x(f, d, n)
            WHERE f > e.flushed
            GROUP BY f, d
            RETURNING quota_report.field, quota_report.units
        )
        SELECT array_agg(k.field), array_agg(k.units) INTO fields, units FROM kept k;
        IF fields IS NOT NULL THEN
            PERFORM public.luna_quota_count(p_account, p_epoch, fields, units);
        END IF;
    END IF;
    PERFORM public.luna_quota_close(p_account, p_epoch, p_dead_s);
    RETURN 1;
END
$$;

-- An epoch that was thought to be lost is the one that Redis has: any other is not.
CREATE FUNCTION luna_quota_alive(p_account bigint, p_epoch bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM public.account a WHERE a.account_id = p_account FOR UPDATE;
    UPDATE public.quota_epoch e SET lost = e.epoch <> p_epoch
    WHERE e.account_id = p_account
        AND EXISTS (SELECT FROM public.quota_epoch x WHERE x.account_id = p_account AND x.epoch = p_epoch);
    RETURN 1;
END
$$;

-- Gives back what ended reservations did not use.
CREATE FUNCTION luna_quota_unreserve(r quota_reservation, p_state text, p_actual bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE public.quota_reservation x SET state = p_state, actual = p_actual, ended_at = now()
    WHERE x.account_id = r.account_id AND x.request_id = r.request_id;
    IF p_actual < r.cost THEN
        UPDATE public.account a SET quota_used = a.quota_used - (r.cost - p_actual)
        WHERE a.account_id = r.account_id AND a.period_start = r.period_start;
        INSERT INTO public.quota_usage AS u (account_id, day, method, units)
        VALUES (r.account_id, (r.created_at AT TIME ZONE 'UTC')::date,
                '/luna.v1.LimiterService/Reserve', p_actual - r.cost)
        ON CONFLICT (account_id, day, method) DO UPDATE SET units = u.units + excluded.units;
        PERFORM pg_notify('luna_quota', r.account_id::text);
    END IF;
END
$$;

-- An actor lives. Returns what it should do: kind 'report' a lost epoch, 'sync' one that has a grant
-- and was not heard of for p_quiet_s.
CREATE FUNCTION luna_quota_beat(
    p_actor bigint, p_quiet_s float8, p_dead_s float8, OUT kind text, OUT account_id bigint,
    OUT epoch bigint
) RETURNS SETOF record
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r public.quota_reservation;
BEGIN
    INSERT INTO public.quota_actor AS s VALUES (p_actor, clock_timestamp())
    ON CONFLICT (actor_id) DO UPDATE SET seen_at = clock_timestamp();
    DELETE FROM public.quota_actor s WHERE s.seen_at < clock_timestamp() - interval '1 h';
    FOR account_id, epoch IN
        SELECT e.account_id, e.epoch FROM public.quota_epoch e WHERE e.lost
        ORDER BY e.account_id, e.epoch LIMIT 64
    LOOP
        PERFORM public.luna_quota_close(account_id, epoch, p_dead_s);
    END LOOP;
    -- Its charge has been settled when the units it gives back are part of quota_used.
    FOR r IN
        SELECT x.* FROM public.quota_reservation x JOIN public.account a USING (account_id)
        WHERE x.state = 'held' AND x.expires_at <= now()
            AND (a.period_start <> x.period_start OR a.quota_used >= x.cost)
        ORDER BY x.account_id LIMIT 64 FOR UPDATE OF x, a SKIP LOCKED
    LOOP
        PERFORM public.luna_quota_unreserve(r, 'expired', 0);
        PERFORM public.luna_quota_event(r.account_id, 'reservation_expired',
            jsonb_build_object('request_id', r.request_id, 'units', r.cost));
    END LOOP;
    DELETE FROM public.quota_reservation x WHERE x.ended_at < now() - interval '1 day';
    RETURN QUERY
        SELECT 'report', e.account_id, e.epoch FROM public.quota_epoch e
        WHERE e.lost AND NOT EXISTS (
            SELECT FROM public.quota_reported d
            WHERE d.account_id = e.account_id AND d.epoch = e.epoch AND d.actor_id = p_actor)
        ORDER BY 2, 3 LIMIT 256;
    RETURN QUERY
        UPDATE public.quota_epoch e SET checked_at = clock_timestamp()
        WHERE (e.account_id, e.epoch) IN (
            SELECT x.account_id, x.epoch FROM public.quota_epoch x
            WHERE x.granted > x.settled AND NOT x.lost
                AND x.checked_at < clock_timestamp() - make_interval(secs => p_quiet_s)
            ORDER BY x.checked_at LIMIT 64 FOR UPDATE SKIP LOCKED)
        RETURNING 'sync', e.account_id, e.epoch;
END
$$;

-- An actor ends in order: it has flushed and reported all it knows.
CREATE FUNCTION luna_quota_leave(p_actor bigint) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (DELETE FROM public.quota_actor s WHERE s.actor_id = p_actor RETURNING 1)
    SELECT count(*) FROM gone
$$;

-- ---- reservations -------------------------------------------------------------------------------

-- The reservation `p_request`; p_cost > 0 makes it when there is none. made: by this call.
CREATE FUNCTION luna_quota_reserve(
    p_account bigint, p_request text, p_cost bigint, p_ttl_ms bigint, OUT made boolean, OUT state text,
    OUT cost bigint, OUT actual bigint, OUT expires_at timestamptz
) RETURNS SETOF record
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    made := false;
    IF p_cost > 0 THEN
        INSERT INTO public.quota_reservation (account_id, request_id, cost, period_start, expires_at)
        SELECT p_account, p_request, p_cost, a.period_start, now() + p_ttl_ms * interval '1 ms'
        FROM public.account a WHERE a.account_id = p_account
        ON CONFLICT DO NOTHING;
        made := FOUND;
    END IF;
    RETURN QUERY SELECT made, r.state, r.cost, r.actual, r.expires_at FROM public.quota_reservation r
        WHERE r.account_id = p_account AND r.request_id = p_request;
END
$$;

-- Ends a reservation: p_actual units are used, -1: none, it is released. What came first counts.
CREATE FUNCTION luna_quota_end_reservation(
    p_account bigint, p_request text, p_actual bigint, OUT changed boolean, OUT state text,
    OUT cost bigint, OUT actual bigint, OUT expires_at timestamptz
) RETURNS SETOF record
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r public.quota_reservation;
BEGIN
    changed := false;
    PERFORM FROM public.account a WHERE a.account_id = p_account FOR UPDATE;
    SELECT * INTO r FROM public.quota_reservation x
    WHERE x.account_id = p_account AND x.request_id = p_request FOR UPDATE;
    IF r.state = 'held' AND r.expires_at <= clock_timestamp() THEN
        PERFORM public.luna_quota_unreserve(r, 'expired', 0);
        PERFORM public.luna_quota_event(p_account, 'reservation_expired',
            jsonb_build_object('request_id', p_request, 'units', r.cost));
    ELSIF r.state = 'held' AND p_actual <= r.cost THEN
        PERFORM public.luna_quota_unreserve(
            r, CASE WHEN p_actual < 0 THEN 'released' ELSE 'committed' END, greatest(0, p_actual));
        changed := true;
    END IF;
    RETURN QUERY SELECT changed, x.state, x.cost, x.actual, x.expires_at FROM public.quota_reservation x
        WHERE x.account_id = p_account AND x.request_id = p_request;
END
$$;

REVOKE ALL ON FUNCTION luna_quota_limits, luna_quota_open, luna_quota_count, luna_quota_settle,
    luna_quota_retire, luna_quota_close, luna_quota_report, luna_quota_alive, luna_quota_unreserve,
    luna_quota_beat, luna_quota_leave, luna_quota_reserve, luna_quota_end_reservation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION luna_quota_limits, luna_quota_open, luna_quota_settle, luna_quota_retire,
    luna_quota_report, luna_quota_alive, luna_quota_beat, luna_quota_leave, luna_quota_reserve,
    luna_quota_end_reservation TO luna_app;
