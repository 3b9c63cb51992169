-- What all migrations make, as pg_dump --schema-only tells it. Made by LUNA_UPDATE_SCHEMA=1 db_migrate_test.
CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;
CREATE FUNCTION public.luna_account_events() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM public.luna_quota_event(NEW.account_id, 'account_created', jsonb_build_object(
            'account_name', NEW.account_name, 'quota_limit', NEW.quota_limit));
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM public.luna_quota_event(OLD.account_id, 'account_deleted', jsonb_build_object(
            'account_name', OLD.account_name, 'quota_used', OLD.quota_used));
    ELSE
        IF (OLD.quota_limit, OLD.quota_period) IS DISTINCT FROM (NEW.quota_limit, NEW.quota_period) THEN
            PERFORM public.luna_quota_event(NEW.account_id, 'limit_changed', jsonb_build_object(
                'old', OLD.quota_limit, 'new', NEW.quota_limit, 'period', NEW.quota_period));
        END IF;
        IF OLD.account_name <> NEW.account_name THEN
            PERFORM public.luna_quota_event(NEW.account_id, 'account_renamed', jsonb_build_object(
                'old', OLD.account_name, 'new', NEW.account_name));
        END IF;
        IF OLD.plan_id IS DISTINCT FROM NEW.plan_id THEN
            PERFORM public.luna_quota_event(NEW.account_id, 'plan_changed', jsonb_build_object(
                'old', OLD.plan_id, 'new', NEW.plan_id));
        END IF;
        PERFORM pg_notify('luna_quota', NEW.account_id::text);
    END IF;
    RETURN NULL;
END
$$;
ALTER FUNCTION public.luna_account_events() OWNER TO postgres;
CREATE FUNCTION public.luna_api_key_events() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    what text := 'key_created';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        what := CASE WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL THEN 'key_revoked'
                     WHEN OLD.key_hash <> NEW.key_hash THEN 'key_rotated'
                     WHEN (OLD.name, OLD.scopes, OLD.expires_at)
                         IS DISTINCT FROM (NEW.name, NEW.scopes, NEW.expires_at) THEN 'key_changed' END;
    END IF;
    IF what IS NOT NULL THEN
        PERFORM public.luna_quota_event(NEW.account_id, what, jsonb_build_object(
            'key_id', NEW.key_id, 'prefix', NEW.key_prefix, 'role', NEW.role));
    END IF;
    RETURN NULL;
END
$$;
ALTER FUNCTION public.luna_api_key_events() OWNER TO postgres;
CREATE FUNCTION public.luna_counts_all_different() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO public.counts_pulse (account_id, xid)
    SELECT DISTINCT c.account_id, pg_current_xact_id()::text::bigint FROM changed c;
    RETURN NULL;
END
$$;
ALTER FUNCTION public.luna_counts_all_different() OWNER TO postgres;
CREATE FUNCTION public.luna_counts_announce(account bigint, dpus integer[], since timestamp with time zone[], every integer) RETURNS TABLE(dpu_id integer, upto timestamp with time zone)
    LANGUAGE sql
    SET enable_seqscan TO 'off'
    AS $$
    WITH made AS (
        INSERT INTO counts_checkpoint (account_id, dpu_id, upto)
        SELECT DISTINCT account, g.dpu, g.at
        FROM (
            SELECT r.dpu, r.at, row_number() OVER w AS nth, count(*) OVER (PARTITION BY r.dpu, r.gap) AS n
            FROM (
                SELECT f.dpu, x.at, x.tag, width_bucket(x.at - interval '1 us', k.uptos) AS gap
                FROM unnest(dpus, since) f(dpu, at)
                CROSS JOIN LATERAL (
                    SELECT coalesce(max(b.upto), '-infinity') AS base FROM counts_checkpoint b
                    WHERE b.account_id = account AND b.dpu_id = f.dpu AND b.upto < f.at
                ) b
                CROSS JOIN LATERAL (
                    SELECT coalesce(array_agg(c.upto ORDER BY c.upto), '{}') AS uptos FROM counts_checkpoint c
                    WHERE c.account_id = account AND c.dpu_id = f.dpu AND c.upto > b.base
                ) k
                CROSS JOIN LATERAL (
                    SELECT y.at, y.tag FROM counts_reading y
                    WHERE y.account_id = account AND y.dpu_id = f.dpu AND y.at > b.base
                    ORDER BY y.at
                    LIMIT 1000000
                ) x
            ) r
            WINDOW w AS (PARTITION BY r.dpu, r.gap ORDER BY r.at, r.tag)
        ) g
        WHERE g.n > 2 * every AND g.nth % every = 0 AND g.n - g.nth >= every / 2
        ON CONFLICT DO NOTHING
        RETURNING counts_checkpoint.dpu_id, counts_checkpoint.upto
    )
    SELECT m.dpu_id, m.upto FROM made m
    UNION
    SELECT k.dpu_id, k.upto FROM counts_checkpoint k
    WHERE k.account_id = account AND k.dpu_id = ANY (dpus) AND NOT k.filled
$$;
ALTER FUNCTION public.luna_counts_announce(account bigint, dpus integer[], since timestamp with time zone[], every integer) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_at(account bigint, space bigint, t timestamp with time zone) RETURNS TABLE(count bigint, entrances bigint, exits bigint)
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    SELECT coalesce(sum(p.sign * (hi.net - lo.net)), 0)::bigint,
        coalesce(sum((hi.n - lo.n + p.sign * (hi.net - lo.net)) / 2), 0)::bigint,
        coalesce(sum((hi.n - lo.n - p.sign * (hi.net - lo.net)) / 2), 0)::bigint
    FROM luna_counts_parts(account, space, 'infinity') p
    CROSS JOIN LATERAL luna_counts_prefix(account, p.dpu_id, t, p.ends_at) hi
    CROSS JOIN LATERAL luna_counts_prefix(account, p.dpu_id, 'infinity', p.starts_at) lo
    WHERE p.starts_at <= t
$$;
ALTER FUNCTION public.luna_counts_at(account bigint, space bigint, t timestamp with time zone) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_due(account bigint) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$
    SELECT greatest(r.horizon, date_trunc('day', now() - make_interval(days => r.retention_days), 'UTC'))
    FROM counts_retention r
    WHERE r.account_id = account AND r.retention_days IS NOT NULL
$$;
ALTER FUNCTION public.luna_counts_due(account bigint) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_event_tag(event text, direction smallint) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
    SELECT direction * (1073741824 + (hashtextextended(event, 0) & 1073741822)::integer)
$$;
ALTER FUNCTION public.luna_counts_event_tag(event text, direction smallint) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_fill(account bigint, dpus integer[], uptos timestamp with time zone[]) RETURNS bigint
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
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
ALTER FUNCTION public.luna_counts_fill(account bigint, dpus integer[], uptos timestamp with time zone[]) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_fold_late(account bigint, dpus integer[], ats timestamp with time zone[], tags integer[]) RETURNS void
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
ALTER FUNCTION public.luna_counts_fold_late(account bigint, dpus integer[], ats timestamp with time zone[], tags integer[]) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_horizon_key(account bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
    SELECT ('x' || md5('luna_counts_horizon' || account::text))::bit(64)::bigint
$$;
ALTER FUNCTION public.luna_counts_horizon_key(account bigint) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_ingest(account bigint, dedupes smallint[], dpus integer[], ats timestamp with time zone[], directions smallint[], events text[]) RETURNS TABLE(ord bigint, outcome smallint)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
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
ALTER FUNCTION public.luna_counts_ingest(account bigint, dedupes smallint[], dpus integer[], ats timestamp with time zone[], directions smallint[], events text[]) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_keep_doorway() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO counts_doorway_was (account_id, doorway_id, ingress_space_id, egress_space_id, until)
    VALUES (old.account_id, old.doorway_id, old.ingress_space_id, old.egress_space_id, clock_timestamp());
    RETURN NULL;
END
$$;
ALTER FUNCTION public.luna_counts_keep_doorway() OWNER TO postgres;
CREATE FUNCTION public.luna_counts_keep_within() RETURNS trigger
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
ALTER FUNCTION public.luna_counts_keep_within() OWNER TO postgres;
CREATE FUNCTION public.luna_counts_lasting(account bigint, dpu integer, grain integer, first timestamp with time zone, cut timestamp with time zone) RETURNS timestamp with time zone[]
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
ALTER FUNCTION public.luna_counts_lasting(account bigint, dpu integer, grain integer, first timestamp with time zone, cut timestamp with time zone) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_move_horizon(account bigint) RETURNS timestamp with time zone
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
ALTER FUNCTION public.luna_counts_move_horizon(account bigint) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_parts(account bigint, space bigint, known timestamp with time zone) RETURNS TABLE(doorway_id bigint, dpu_id integer, sign integer, starts_at timestamp with time zone, ends_at timestamp with time zone)
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
ALTER FUNCTION public.luna_counts_parts(account bigint, space bigint, known timestamp with time zone) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_parts_known(account bigint, space bigint, known timestamp with time zone) RETURNS TABLE(doorway_id bigint, dpu_id integer, sign integer, starts_at timestamp with time zone, ends_at timestamp with time zone)
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
ALTER FUNCTION public.luna_counts_parts_known(account bigint, space bigint, known timestamp with time zone) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_prefix(account bigint, dpu integer, t timestamp with time zone, fore timestamp with time zone) RETURNS TABLE(n bigint, net bigint)
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
ALTER FUNCTION public.luna_counts_prefix(account bigint, dpu integer, t timestamp with time zone, fore timestamp with time zone) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_rebuild(after_account bigint, after_dpu integer, every integer) RETURNS TABLE(account_id bigint, dpu_id integer, made bigint)
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
ALTER FUNCTION public.luna_counts_rebuild(after_account bigint, after_dpu integer, every integer) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_retained(after_account bigint) RETURNS SETOF bigint
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 100
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT r.account_id FROM public.counts_retention r
    WHERE r.account_id > after_account AND r.retention_days IS NOT NULL
    ORDER BY r.account_id
    LIMIT 100
$$;
ALTER FUNCTION public.luna_counts_retained(after_account bigint) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_roll_off(account bigint, after_dpu integer, most integer, OUT next_dpu integer, OUT readings bigint, OUT sums bigint, OUT busy boolean) RETURNS record
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
ALTER FUNCTION public.luna_counts_roll_off(account bigint, after_dpu integer, most integer, OUT next_dpu integer, OUT readings bigint, OUT sums bigint, OUT busy boolean) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_roll_off_plan(account bigint, after_dpu integer, due timestamp with time zone, OUT next_dpu integer, OUT readings bigint, OUT sums bigint) RETURNS record
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
ALTER FUNCTION public.luna_counts_roll_off_plan(account bigint, after_dpu integer, due timestamp with time zone, OUT next_dpu integer, OUT readings bigint, OUT sums bigint) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_take(account bigint, dedupes smallint[], dpus integer[], ats timestamp with time zone[], directions smallint[], events text[]) RETURNS TABLE(ord bigint, outcome smallint)
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
ALTER FUNCTION public.luna_counts_take(account bigint, dedupes smallint[], dpus integer[], ats timestamp with time zone[], directions smallint[], events text[]) OWNER TO postgres;
CREATE FUNCTION public.luna_counts_unassigned(account bigint, dpu integer) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    SELECT everything.n - coalesce((
        SELECT sum(hi.n - lo.n)
        FROM counts_assignment a
        CROSS JOIN LATERAL luna_counts_prefix(account, dpu, 'infinity', a.ends_at) hi
        CROSS JOIN LATERAL luna_counts_prefix(account, dpu, 'infinity', a.starts_at) lo
        WHERE a.account_id = account AND a.dpu_id = dpu AND a.superseded_at IS NULL), 0)::bigint
    FROM luna_counts_prefix(account, dpu, 'infinity', 'infinity') everything
$$;
ALTER FUNCTION public.luna_counts_unassigned(account bigint, dpu integer) OWNER TO postgres;
CREATE FUNCTION public.luna_find_account(name text) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT a.account_id FROM public.account a WHERE a.account_name = luna_find_account.name
$$;
ALTER FUNCTION public.luna_find_account(name text) OWNER TO postgres;
CREATE FUNCTION public.luna_find_key(hash bytea, OUT account_id bigint, OUT key_id bigint, OUT role text, OUT scopes text[], OUT expires_at timestamp with time zone, OUT revoked_at timestamp with time zone) RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT k.account_id, k.key_id, k.role, k.scopes, k.expires_at, k.revoked_at
    FROM public.api_key k
    WHERE k.key_hash = luna_find_key.hash
    UNION ALL
    SELECT k.account_id, k.key_id, k.role, k.scopes, least(k.expires_at, k.previous_expires_at),
           k.revoked_at
    FROM public.api_key k
    WHERE k.previous_hash = luna_find_key.hash
    LIMIT 1
$$;
ALTER FUNCTION public.luna_find_key(hash bytea, OUT account_id bigint, OUT key_id bigint, OUT role text, OUT scopes text[], OUT expires_at timestamp with time zone, OUT revoked_at timestamp with time zone) OWNER TO postgres;
CREATE FUNCTION public.luna_kalman_append(p_accounts bigint[], p_keys bigint[], p_generations bigint[], p_positions bigint[], p_counts bigint[], p_max_sequences bigint[], p_owners bigint[], p_at bigint[], p_sequences bigint[], p_times double precision[], p_numbers bytea[], p_late_owners bigint[], p_late_times double precision[], p_late_sequences bigint[], p_checkpoint_owners bigint[], p_checkpoint_times double precision[], p_checkpoint_sequences bigint[], p_checkpoint_states bytea[], p_format integer) RETURNS bigint[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
DECLARE
    stored bigint[] := '{}';
    complete boolean;
BEGIN
    FOR i IN 1 .. cardinality(p_keys) LOOP
        UPDATE public.kalman_filter f
        SET position = f.position + p_counts[i], max_sequence = p_max_sequences[i]
        WHERE f.account_id = p_accounts[i] AND f.filter_key = p_keys[i]
            AND f.generation = p_generations[i] AND f.position = p_positions[i];
        IF FOUND THEN
            stored := stored || i;
        END IF;
    END LOOP;
    complete := cardinality(stored) = cardinality(p_keys);
    INSERT INTO public.kalman_observation (account_id, filter_key, generation, position, sequence, time, numbers)
    SELECT p_accounts[o.owner], p_keys[o.owner], p_generations[o.owner], o.at, o.sequence, o.time, o.numbers
    FROM unnest(p_owners, p_at, p_sequences, p_times, p_numbers) o (owner, at, sequence, time, numbers)
    WHERE complete OR o.owner = ANY (stored);
    IF p_late_owners <> '{}' THEN
        DELETE FROM public.kalman_checkpoint c
        USING unnest(p_late_owners, p_late_times, p_late_sequences) l (owner, time, sequence)
        WHERE l.owner = ANY (stored) AND c.account_id = p_accounts[l.owner] AND c.filter_key = p_keys[l.owner]
            AND c.generation = p_generations[l.owner] AND (c.time, c.sequence) > (l.time, l.sequence);
    END IF;
    IF p_checkpoint_owners <> '{}' THEN
        INSERT INTO public.kalman_checkpoint
            (account_id, filter_key, generation, version, format, time, sequence, state)
        SELECT p_accounts[c.owner], p_keys[c.owner], p_generations[c.owner],
            p_positions[c.owner] + p_counts[c.owner], p_format, c.time, c.sequence, c.state
        FROM unnest(p_checkpoint_owners, p_checkpoint_times, p_checkpoint_sequences, p_checkpoint_states)
            c (owner, time, sequence, state)
        WHERE c.owner = ANY (stored)
        ON CONFLICT (account_id, filter_key, generation, time, sequence)
        DO UPDATE SET version = EXCLUDED.version, format = EXCLUDED.format, state = EXCLUDED.state;
    END IF;
    RETURN stored;
END
$$;
ALTER FUNCTION public.luna_kalman_append(p_accounts bigint[], p_keys bigint[], p_generations bigint[], p_positions bigint[], p_counts bigint[], p_max_sequences bigint[], p_owners bigint[], p_at bigint[], p_sequences bigint[], p_times double precision[], p_numbers bytea[], p_late_owners bigint[], p_late_times double precision[], p_late_sequences bigint[], p_checkpoint_owners bigint[], p_checkpoint_times double precision[], p_checkpoint_sequences bigint[], p_checkpoint_states bytea[], p_format integer) OWNER TO postgres;
CREATE FUNCTION public.luna_kalman_filter_gone() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM public.kalman_observation WHERE account_id = OLD.account_id AND filter_key = OLD.filter_key;
    RETURN NULL;
END
$$;
ALTER FUNCTION public.luna_kalman_filter_gone() OWNER TO postgres;
CREATE FUNCTION public.luna_key_changed() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM pg_notify('luna_keys', OLD.account_id::text);
    RETURN NULL;
END
$$;
ALTER FUNCTION public.luna_key_changed() OWNER TO postgres;
CREATE FUNCTION public.luna_limit_rule_changed() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM pg_notify('luna_limit_rules', coalesce(NEW.account_id, OLD.account_id)::text);
    RETURN NULL;
END
$$;
ALTER FUNCTION public.luna_limit_rule_changed() OWNER TO postgres;
CREATE FUNCTION public.luna_period_end(period text, start timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT CASE period WHEN 'total' THEN 'infinity'::timestamptz
           ELSE (start AT TIME ZONE 'UTC' + ('1 ' || period)::interval) AT TIME ZONE 'UTC' END
$$;
ALTER FUNCTION public.luna_period_end(period text, start timestamp with time zone) OWNER TO postgres;
CREATE FUNCTION public.luna_period_start(period text, at timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT CASE period WHEN 'total' THEN 'epoch'::timestamptz
           ELSE date_trunc(period, at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' END
$$;
ALTER FUNCTION public.luna_period_start(period text, at timestamp with time zone) OWNER TO postgres;
CREATE FUNCTION public.luna_plan_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE public.account a
    SET quota_limit = CASE WHEN a.quota_limit = OLD.quota_limit THEN NEW.quota_limit ELSE a.quota_limit END,
        quota_period = NEW.quota_period,
        updated_at = greatest(now(), a.updated_at + interval '1 us')
    WHERE a.plan_id = NEW.plan_id;
    RETURN NULL;
END
$$;
ALTER FUNCTION public.luna_plan_changed() OWNER TO postgres;
CREATE FUNCTION public.luna_quota_alive(p_account bigint, p_epoch bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM FROM public.account a WHERE a.account_id = p_account FOR UPDATE;
    UPDATE public.quota_epoch e SET lost = e.epoch <> p_epoch
    WHERE e.account_id = p_account
        AND EXISTS (SELECT FROM public.quota_epoch x WHERE x.account_id = p_account AND x.epoch = p_epoch);
    RETURN 1;
END
$$;
ALTER FUNCTION public.luna_quota_alive(p_account bigint, p_epoch bigint) OWNER TO postgres;
CREATE FUNCTION public.luna_quota_beat(p_actor bigint, p_quiet_s double precision, p_dead_s double precision, OUT kind text, OUT account_id bigint, OUT epoch bigint) RETURNS SETOF record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION public.luna_quota_beat(p_actor bigint, p_quiet_s double precision, p_dead_s double precision, OUT kind text, OUT account_id bigint, OUT epoch bigint) OWNER TO postgres;
CREATE FUNCTION public.luna_quota_close(p_account bigint, p_epoch bigint, p_dead_s double precision) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION public.luna_quota_close(p_account bigint, p_epoch bigint, p_dead_s double precision) OWNER TO postgres;
CREATE FUNCTION public.luna_quota_count(p_account bigint, p_epoch bigint, p_fields text[], p_units bigint[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION public.luna_quota_count(p_account bigint, p_epoch bigint, p_fields text[], p_units bigint[]) OWNER TO postgres;
CREATE FUNCTION public.luna_quota_end_reservation(p_account bigint, p_request text, p_actual bigint, OUT changed boolean, OUT state text, OUT cost bigint, OUT actual bigint, OUT expires_at timestamp with time zone) RETURNS SETOF record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION public.luna_quota_end_reservation(p_account bigint, p_request text, p_actual bigint, OUT changed boolean, OUT state text, OUT cost bigint, OUT actual bigint, OUT expires_at timestamp with time zone) OWNER TO postgres;
CREATE FUNCTION public.luna_quota_event(p_account bigint, p_kind text, p_data jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    id bigint;
BEGIN
    INSERT INTO public.quota_event (account_id, kind, by_account_id, data)
    VALUES (p_account, p_kind, nullif(current_setting('luna.account', true), '')::bigint, p_data)
    RETURNING event_id INTO id;
    PERFORM pg_notify('luna_quota_events', p_account::text);
    RETURN id;
END
$$;
ALTER FUNCTION public.luna_quota_event(p_account bigint, p_kind text, p_data jsonb) OWNER TO postgres;
CREATE FUNCTION public.luna_quota_event_kept() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION 'quota events are not changed' USING ERRCODE = 'insufficient_privilege';
END
$$;
ALTER FUNCTION public.luna_quota_event_kept() OWNER TO postgres;
CREATE FUNCTION public.luna_quota_leave(p_actor bigint) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    WITH gone AS (DELETE FROM public.quota_actor s WHERE s.actor_id = p_actor RETURNING 1)
    SELECT count(*) FROM gone
$$;
ALTER FUNCTION public.luna_quota_leave(p_actor bigint) OWNER TO postgres;
CREATE FUNCTION public.luna_quota_limits(p_account bigint, OUT account_capacity bigint, OUT account_unit_us bigint, OUT key_capacity bigint, OUT key_unit_us bigint, OUT concurrent_calls bigint, OUT report_only boolean) RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT coalesce(p.account_capacity, 0), coalesce(p.account_unit_us, 0), coalesce(p.key_capacity, 0),
           coalesce(p.key_unit_us, 0), coalesce(p.concurrent_calls, 0), coalesce(p.report_only, false)
    FROM public.account a LEFT JOIN public.plan p ON p.plan_id = a.plan_id
    WHERE a.account_id = p_account
$$;
ALTER FUNCTION public.luna_quota_limits(p_account bigint, OUT account_capacity bigint, OUT account_unit_us bigint, OUT key_capacity bigint, OUT key_unit_us bigint, OUT concurrent_calls bigint, OUT report_only boolean) OWNER TO postgres;
CREATE FUNCTION public.luna_quota_open(p_account bigint, p_seen bigint, p_chunk bigint, OUT state text, OUT epoch bigint, OUT version bigint, OUT quota_limit bigint, OUT base bigint, OUT granted bigint, OUT grant_no bigint, OUT period_end timestamp with time zone) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION public.luna_quota_open(p_account bigint, p_seen bigint, p_chunk bigint, OUT state text, OUT epoch bigint, OUT version bigint, OUT quota_limit bigint, OUT base bigint, OUT granted bigint, OUT grant_no bigint, OUT period_end timestamp with time zone) OWNER TO postgres;
CREATE FUNCTION public.luna_quota_report(p_actor bigint, p_account bigint, p_epoch bigint, p_flushes bigint[], p_fields text[], p_units bigint[], p_dead_s double precision) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION public.luna_quota_report(p_actor bigint, p_account bigint, p_epoch bigint, p_flushes bigint[], p_fields text[], p_units bigint[], p_dead_s double precision) OWNER TO postgres;
CREATE FUNCTION public.luna_quota_reserve(p_account bigint, p_request text, p_cost bigint, p_ttl_ms bigint, OUT made boolean, OUT state text, OUT cost bigint, OUT actual bigint, OUT expires_at timestamp with time zone) RETURNS SETOF record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION public.luna_quota_reserve(p_account bigint, p_request text, p_cost bigint, p_ttl_ms bigint, OUT made boolean, OUT state text, OUT cost bigint, OUT actual bigint, OUT expires_at timestamp with time zone) OWNER TO postgres;
CREATE FUNCTION public.luna_quota_retire(p_account bigint, p_epoch bigint, p_grant_no bigint, p_spent bigint) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION public.luna_quota_retire(p_account bigint, p_epoch bigint, p_grant_no bigint, p_spent bigint) OWNER TO postgres;
CREATE FUNCTION public.luna_quota_settle(p_account bigint, p_epoch bigint, p_flush bigint, p_fields text[], p_units bigint[], p_chunk bigint, OUT state text, OUT version bigint, OUT quota_limit bigint, OUT base bigint, OUT granted bigint, OUT grant_no bigint, OUT settled bigint, OUT added bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION public.luna_quota_settle(p_account bigint, p_epoch bigint, p_flush bigint, p_fields text[], p_units bigint[], p_chunk bigint, OUT state text, OUT version bigint, OUT quota_limit bigint, OUT base bigint, OUT granted bigint, OUT grant_no bigint, OUT settled bigint, OUT added bigint) OWNER TO postgres;
CREATE TABLE public.quota_reservation (
    account_id bigint NOT NULL,
    request_id text NOT NULL,
    state text DEFAULT 'held'::text NOT NULL,
    cost bigint NOT NULL,
    actual bigint DEFAULT 0 NOT NULL,
    period_start timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT quota_reservation_check CHECK (((actual >= 0) AND (actual <= cost))),
    CONSTRAINT quota_reservation_cost_check CHECK ((cost > 0)),
    CONSTRAINT quota_reservation_request_id_check CHECK (((char_length(request_id) >= 1) AND (char_length(request_id) <= 128))),
    CONSTRAINT quota_reservation_state_check CHECK ((state = ANY (ARRAY['held'::text, 'committed'::text, 'released'::text, 'expired'::text])))
);
ALTER TABLE ONLY public.quota_reservation FORCE ROW LEVEL SECURITY;
ALTER TABLE public.quota_reservation OWNER TO postgres;
CREATE FUNCTION public.luna_quota_unreserve(r public.quota_reservation, p_state text, p_actual bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION public.luna_quota_unreserve(r public.quota_reservation, p_state text, p_actual bigint) OWNER TO postgres;
CREATE FUNCTION public.luna_touch_keys(account_ids bigint[], key_ids bigint[]) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    WITH used AS MATERIALIZED (
        SELECT k.account_id, k.key_id
        FROM public.api_key k
        WHERE (k.account_id, k.key_id) IN (SELECT * FROM unnest(account_ids, key_ids))
            AND (k.last_used_at IS NULL OR k.last_used_at < date_trunc('minute', now()))
        ORDER BY k.account_id, k.key_id
        FOR UPDATE
    ), touched AS (
        UPDATE public.api_key k SET last_used_at = date_trunc('minute', now())
        FROM used u
        WHERE k.account_id = u.account_id AND k.key_id = u.key_id
        RETURNING 1
    )
    SELECT count(*) FROM touched
$$;
ALTER FUNCTION public.luna_touch_keys(account_ids bigint[], key_ids bigint[]) OWNER TO postgres;
CREATE TABLE public.account (
    account_id bigint NOT NULL,
    account_name text NOT NULL,
    quota_limit bigint DEFAULT 500 NOT NULL,
    quota_used bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    plan_id bigint,
    quota_period text DEFAULT 'total'::text NOT NULL,
    period_start timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    CONSTRAINT account_account_name_check CHECK (((char_length(account_name) >= 1) AND (char_length(account_name) <= 100))),
    CONSTRAINT account_quota_limit_check CHECK ((quota_limit >= 0)),
    CONSTRAINT account_quota_period_check CHECK ((quota_period = ANY (ARRAY['total'::text, 'day'::text, 'week'::text, 'month'::text, 'year'::text]))),
    CONSTRAINT account_quota_used_check CHECK ((quota_used >= 0))
);
ALTER TABLE ONLY public.account FORCE ROW LEVEL SECURITY;
ALTER TABLE public.account OWNER TO postgres;
ALTER TABLE public.account ALTER COLUMN account_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.account_account_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.api_key (
    account_id bigint NOT NULL,
    key_id bigint NOT NULL,
    key_hash bytea NOT NULL,
    key_prefix text NOT NULL,
    role text NOT NULL,
    scopes text[] DEFAULT '{}'::text[] NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    previous_hash bytea,
    previous_expires_at timestamp with time zone,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT api_key_check CHECK (((previous_hash IS NULL) = (previous_expires_at IS NULL))),
    CONSTRAINT api_key_key_hash_check CHECK ((octet_length(key_hash) = 32)),
    CONSTRAINT api_key_key_prefix_check CHECK (((char_length(key_prefix) >= 1) AND (char_length(key_prefix) <= 32))),
    CONSTRAINT api_key_name_check CHECK ((char_length(name) <= 100)),
    CONSTRAINT api_key_previous_hash_check CHECK ((octet_length(previous_hash) = 32)),
    CONSTRAINT api_key_role_check CHECK ((role = ANY (ARRAY['admin'::text, 'member'::text, 'device'::text])))
);
ALTER TABLE ONLY public.api_key FORCE ROW LEVEL SECURITY;
ALTER TABLE public.api_key OWNER TO postgres;
ALTER TABLE public.api_key ALTER COLUMN key_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.api_key_key_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.counts_assignment (
    account_id integer NOT NULL,
    assignment_id bigint NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    superseded_at timestamp with time zone,
    dpu_id integer NOT NULL,
    doorway_id bigint NOT NULL,
    starts_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    ends_at timestamp with time zone DEFAULT 'infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT counts_assignment_order CHECK ((starts_at < ends_at))
);
ALTER TABLE ONLY public.counts_assignment FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_assignment OWNER TO postgres;
ALTER TABLE public.counts_assignment ALTER COLUMN assignment_id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.counts_assignment_assignment_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.counts_calibration (
    account_id integer NOT NULL,
    space_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    count bigint NOT NULL,
    deviation double precision NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    recorded_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT counts_calibration_deviation_check CHECK ((deviation >= (0)::double precision)),
    CONSTRAINT counts_calibration_note_check CHECK ((char_length(note) <= 500))
);
ALTER TABLE ONLY public.counts_calibration FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_calibration OWNER TO postgres;
CREATE TABLE public.counts_checkpoint (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    filled boolean DEFAULT false NOT NULL,
    upto timestamp with time zone NOT NULL,
    n bigint DEFAULT 0 NOT NULL,
    net bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='90');
ALTER TABLE ONLY public.counts_checkpoint FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_checkpoint OWNER TO postgres;
CREATE TABLE public.counts_doorway (
    account_id integer NOT NULL,
    doorway_id bigint NOT NULL,
    name text NOT NULL,
    ingress_space_id bigint NOT NULL,
    egress_space_id bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT counts_doorway_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200))),
    CONSTRAINT counts_doorway_sides CHECK ((ingress_space_id <> egress_space_id))
);
ALTER TABLE ONLY public.counts_doorway FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_doorway OWNER TO postgres;
ALTER TABLE public.counts_doorway ALTER COLUMN doorway_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.counts_doorway_doorway_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.counts_doorway_was (
    account_id integer NOT NULL,
    doorway_id bigint NOT NULL,
    ingress_space_id bigint NOT NULL,
    egress_space_id bigint,
    until timestamp with time zone NOT NULL
);
ALTER TABLE ONLY public.counts_doorway_was FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_doorway_was OWNER TO postgres;
CREATE TABLE public.counts_dpu (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    serial text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    rolled_until timestamp with time zone,
    rolled_seen_at timestamp with time zone,
    rolled_received_at timestamp with time zone,
    CONSTRAINT counts_dpu_dpu_id_check CHECK ((dpu_id > 0)),
    CONSTRAINT counts_dpu_name_check CHECK ((char_length(name) <= 200)),
    CONSTRAINT counts_dpu_serial_check CHECK ((char_length(serial) <= 200))
);
ALTER TABLE ONLY public.counts_dpu FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_dpu OWNER TO postgres;
CREATE TABLE public.counts_pulse (
    account_id integer NOT NULL,
    xid bigint NOT NULL,
    nth bigint NOT NULL,
    first_at timestamp with time zone,
    last_at timestamp with time zone,
    dpus integer[],
    ns smallint[],
    nets smallint[]
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');
ALTER TABLE ONLY public.counts_pulse ALTER COLUMN dpus SET STORAGE EXTERNAL;
ALTER TABLE ONLY public.counts_pulse ALTER COLUMN ns SET STORAGE EXTERNAL;
ALTER TABLE ONLY public.counts_pulse ALTER COLUMN nets SET STORAGE EXTERNAL;
ALTER TABLE ONLY public.counts_pulse FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_pulse OWNER TO postgres;
CREATE TABLE public.counts_pulse_floor (
    account_id integer NOT NULL,
    xid bigint NOT NULL
);
ALTER TABLE ONLY public.counts_pulse_floor FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_pulse_floor OWNER TO postgres;
ALTER TABLE public.counts_pulse ALTER COLUMN nth ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.counts_pulse_nth_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.counts_reading_in (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_in_tag_check CHECK ((tag > 0))
)
PARTITION BY RANGE (at);
ALTER TABLE ONLY public.counts_reading_in FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_in OWNER TO postgres;
CREATE TABLE public.counts_reading_more (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_more_tag_check CHECK ((tag <> 0))
);
ALTER TABLE ONLY public.counts_reading_more FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_more OWNER TO postgres;
CREATE TABLE public.counts_reading_out (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_out_tag_check CHECK ((tag < 0))
)
PARTITION BY RANGE (at);
ALTER TABLE ONLY public.counts_reading_out FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_out OWNER TO postgres;
CREATE VIEW public.counts_reading WITH (security_invoker='true') AS
 SELECT counts_reading_in.account_id,
    counts_reading_in.dpu_id,
    counts_reading_in.at,
    1 AS direction,
    counts_reading_in.received_at,
    counts_reading_in.tag,
    counts_reading_in.event_id
   FROM public.counts_reading_in
UNION ALL
 SELECT counts_reading_out.account_id,
    counts_reading_out.dpu_id,
    counts_reading_out.at,
    '-1'::integer AS direction,
    counts_reading_out.received_at,
    counts_reading_out.tag,
    counts_reading_out.event_id
   FROM public.counts_reading_out
UNION ALL
 SELECT counts_reading_more.account_id,
    counts_reading_more.dpu_id,
    counts_reading_more.at,
        CASE
            WHEN (counts_reading_more.tag > 0) THEN 1
            ELSE '-1'::integer
        END AS direction,
    counts_reading_more.received_at,
    counts_reading_more.tag,
    counts_reading_more.event_id
   FROM public.counts_reading_more;
ALTER TABLE public.counts_reading OWNER TO postgres;
CREATE TABLE public.counts_reading_in_2025 (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_in_tag_check CHECK ((tag > 0))
);
ALTER TABLE ONLY public.counts_reading_in_2025 FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_in_2025 OWNER TO postgres;
CREATE TABLE public.counts_reading_in_2026 (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_in_tag_check CHECK ((tag > 0))
);
ALTER TABLE ONLY public.counts_reading_in_2026 FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_in_2026 OWNER TO postgres;
CREATE TABLE public.counts_reading_in_2027 (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_in_tag_check CHECK ((tag > 0))
);
ALTER TABLE ONLY public.counts_reading_in_2027 FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_in_2027 OWNER TO postgres;
CREATE TABLE public.counts_reading_in_2028 (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_in_tag_check CHECK ((tag > 0))
);
ALTER TABLE ONLY public.counts_reading_in_2028 FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_in_2028 OWNER TO postgres;
CREATE TABLE public.counts_reading_in_2029 (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_in_tag_check CHECK ((tag > 0))
);
ALTER TABLE ONLY public.counts_reading_in_2029 FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_in_2029 OWNER TO postgres;
CREATE TABLE public.counts_reading_in_early (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_in_tag_check CHECK ((tag > 0))
);
ALTER TABLE ONLY public.counts_reading_in_early FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_in_early OWNER TO postgres;
CREATE TABLE public.counts_reading_in_later (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_in_tag_check CHECK ((tag > 0))
);
ALTER TABLE ONLY public.counts_reading_in_later FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_in_later OWNER TO postgres;
CREATE TABLE public.counts_reading_out_2025 (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_out_tag_check CHECK ((tag < 0))
);
ALTER TABLE ONLY public.counts_reading_out_2025 FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_out_2025 OWNER TO postgres;
CREATE TABLE public.counts_reading_out_2026 (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_out_tag_check CHECK ((tag < 0))
);
ALTER TABLE ONLY public.counts_reading_out_2026 FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_out_2026 OWNER TO postgres;
CREATE TABLE public.counts_reading_out_2027 (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_out_tag_check CHECK ((tag < 0))
);
ALTER TABLE ONLY public.counts_reading_out_2027 FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_out_2027 OWNER TO postgres;
CREATE TABLE public.counts_reading_out_2028 (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_out_tag_check CHECK ((tag < 0))
);
ALTER TABLE ONLY public.counts_reading_out_2028 FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_out_2028 OWNER TO postgres;
CREATE TABLE public.counts_reading_out_2029 (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_out_tag_check CHECK ((tag < 0))
);
ALTER TABLE ONLY public.counts_reading_out_2029 FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_out_2029 OWNER TO postgres;
CREATE TABLE public.counts_reading_out_early (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_out_tag_check CHECK ((tag < 0))
);
ALTER TABLE ONLY public.counts_reading_out_early FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_out_early OWNER TO postgres;
CREATE TABLE public.counts_reading_out_later (
    account_id integer NOT NULL,
    dpu_id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    tag integer NOT NULL,
    event_id text,
    CONSTRAINT counts_reading_out_tag_check CHECK ((tag < 0))
);
ALTER TABLE ONLY public.counts_reading_out_later FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_out_later OWNER TO postgres;
CREATE TABLE public.counts_retention (
    account_id integer NOT NULL,
    retention_days integer,
    grain_seconds integer DEFAULT 3600 NOT NULL,
    horizon timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    announced_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    done_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT counts_retention_grain_seconds_check CHECK ((grain_seconds = ANY (ARRAY[900, 1800, 3600, 86400]))),
    CONSTRAINT counts_retention_retention_days_check CHECK (((retention_days >= 1) AND (retention_days <= 36500)))
);
ALTER TABLE ONLY public.counts_retention FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_retention OWNER TO postgres;
CREATE TABLE public.counts_space (
    account_id integer NOT NULL,
    space_id bigint NOT NULL,
    name text NOT NULL,
    capacity integer,
    parent_id bigint,
    time_zone text DEFAULT 'UTC'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT counts_space_capacity_check CHECK ((capacity > 0)),
    CONSTRAINT counts_space_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200)))
);
ALTER TABLE ONLY public.counts_space FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_space OWNER TO postgres;
ALTER TABLE public.counts_space ALTER COLUMN space_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.counts_space_space_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.counts_within (
    account_id integer NOT NULL,
    outer_id bigint NOT NULL,
    space_id bigint NOT NULL,
    since timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE ONLY public.counts_within FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_within OWNER TO postgres;
CREATE TABLE public.counts_within_was (
    account_id integer NOT NULL,
    outer_id bigint NOT NULL,
    space_id bigint NOT NULL,
    since timestamp with time zone NOT NULL,
    until timestamp with time zone NOT NULL
);
ALTER TABLE ONLY public.counts_within_was FORCE ROW LEVEL SECURITY;
ALTER TABLE public.counts_within_was OWNER TO postgres;
CREATE TABLE public.idempotent_call (
    account_id bigint NOT NULL,
    key_hash bytea NOT NULL,
    request_hash bytea NOT NULL,
    answer bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT idempotent_call_key_hash_check CHECK ((octet_length(key_hash) = 32)),
    CONSTRAINT idempotent_call_request_hash_check CHECK ((octet_length(request_hash) = 32))
);
ALTER TABLE ONLY public.idempotent_call FORCE ROW LEVEL SECURITY;
ALTER TABLE public.idempotent_call OWNER TO postgres;
CREATE TABLE public.kalman_checkpoint (
    account_id bigint NOT NULL,
    filter_key bigint NOT NULL,
    generation bigint NOT NULL,
    "time" double precision NOT NULL,
    sequence bigint NOT NULL,
    version bigint NOT NULL,
    format integer NOT NULL,
    state bytea NOT NULL
);
ALTER TABLE ONLY public.kalman_checkpoint FORCE ROW LEVEL SECURITY;
ALTER TABLE public.kalman_checkpoint OWNER TO postgres;
CREATE TABLE public.kalman_filter (
    account_id bigint NOT NULL,
    filter_key bigint NOT NULL,
    filter_id text NOT NULL,
    generation bigint DEFAULT 1 NOT NULL,
    model bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    reset_at timestamp with time zone DEFAULT now() NOT NULL,
    "position" bigint DEFAULT 0 NOT NULL,
    max_sequence bigint DEFAULT 0 NOT NULL,
    CONSTRAINT kalman_filter_filter_id_check CHECK ((filter_id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'::text))
)
WITH (fillfactor='50');
ALTER TABLE ONLY public.kalman_filter FORCE ROW LEVEL SECURITY;
ALTER TABLE public.kalman_filter OWNER TO postgres;
ALTER TABLE public.kalman_filter ALTER COLUMN filter_key ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.kalman_filter_filter_key_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.kalman_observation (
    account_id bigint NOT NULL,
    filter_key bigint NOT NULL,
    generation bigint NOT NULL,
    "position" bigint NOT NULL,
    sequence bigint NOT NULL,
    "time" double precision NOT NULL,
    numbers bytea NOT NULL,
    appended_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT kalman_observation_numbers_check CHECK (((octet_length(numbers) % 8) = 0)),
    CONSTRAINT kalman_observation_position_check CHECK (("position" > 0)),
    CONSTRAINT kalman_observation_sequence_check CHECK ((sequence > 0))
);
ALTER TABLE ONLY public.kalman_observation FORCE ROW LEVEL SECURITY;
ALTER TABLE public.kalman_observation OWNER TO postgres;
CREATE TABLE public.limit_rule (
    account_id bigint NOT NULL,
    rule_id bigint NOT NULL,
    domain text NOT NULL,
    entry_keys text[] NOT NULL,
    entry_values text[] NOT NULL,
    capacity bigint NOT NULL,
    unit_us bigint NOT NULL,
    units bigint NOT NULL,
    period_ms bigint NOT NULL,
    report_only boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT limit_rule_check CHECK ((cardinality(entry_values) = cardinality(entry_keys))),
    CONSTRAINT limit_rule_domain_check CHECK (((char_length(domain) >= 1) AND (char_length(domain) <= 100))),
    CONSTRAINT limit_rule_entry_keys_check CHECK (((cardinality(entry_keys) >= 1) AND (cardinality(entry_keys) <= 8)))
);
ALTER TABLE ONLY public.limit_rule FORCE ROW LEVEL SECURITY;
ALTER TABLE public.limit_rule OWNER TO postgres;
ALTER TABLE public.limit_rule ALTER COLUMN rule_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.limit_rule_rule_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.plan (
    plan_id bigint NOT NULL,
    plan_name text NOT NULL,
    quota_limit bigint NOT NULL,
    quota_period text NOT NULL,
    account_capacity bigint DEFAULT 0 NOT NULL,
    account_unit_us bigint DEFAULT 0 NOT NULL,
    key_capacity bigint DEFAULT 0 NOT NULL,
    key_unit_us bigint DEFAULT 0 NOT NULL,
    concurrent_calls bigint DEFAULT 0 NOT NULL,
    report_only boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT plan_concurrent_calls_check CHECK ((concurrent_calls >= 0)),
    CONSTRAINT plan_plan_name_check CHECK (((char_length(plan_name) >= 1) AND (char_length(plan_name) <= 100))),
    CONSTRAINT plan_quota_limit_check CHECK ((quota_limit >= 0)),
    CONSTRAINT plan_quota_period_check CHECK ((quota_period = ANY (ARRAY['total'::text, 'day'::text, 'week'::text, 'month'::text, 'year'::text])))
);
ALTER TABLE ONLY public.plan FORCE ROW LEVEL SECURITY;
ALTER TABLE public.plan OWNER TO postgres;
ALTER TABLE public.plan ALTER COLUMN plan_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.plan_plan_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.quota_actor (
    actor_id bigint NOT NULL,
    seen_at timestamp with time zone NOT NULL
);
ALTER TABLE ONLY public.quota_actor FORCE ROW LEVEL SECURITY;
ALTER TABLE public.quota_actor OWNER TO postgres;
CREATE TABLE public.quota_epoch (
    account_id bigint NOT NULL,
    epoch bigint NOT NULL,
    period_start timestamp with time zone NOT NULL,
    lost boolean DEFAULT false NOT NULL,
    granted bigint NOT NULL,
    settled bigint DEFAULT 0 NOT NULL,
    grant_no bigint DEFAULT 1 NOT NULL,
    flushed bigint DEFAULT 0 NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    opened_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    settled_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    checked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE ONLY public.quota_epoch FORCE ROW LEVEL SECURITY;
ALTER TABLE public.quota_epoch OWNER TO postgres;
CREATE SEQUENCE public.quota_epoch_number
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER TABLE public.quota_epoch_number OWNER TO postgres;
CREATE TABLE public.quota_event (
    account_id bigint NOT NULL,
    event_id bigint NOT NULL,
    occurred_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    kind text NOT NULL,
    by_account_id bigint,
    data jsonb DEFAULT '{}'::jsonb NOT NULL
);
ALTER TABLE ONLY public.quota_event FORCE ROW LEVEL SECURITY;
ALTER TABLE public.quota_event OWNER TO postgres;
ALTER TABLE public.quota_event ALTER COLUMN event_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.quota_event_event_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.quota_report (
    account_id bigint NOT NULL,
    epoch bigint NOT NULL,
    actor_id bigint NOT NULL,
    flush bigint NOT NULL,
    field text NOT NULL,
    units bigint NOT NULL
);
ALTER TABLE ONLY public.quota_report FORCE ROW LEVEL SECURITY;
ALTER TABLE public.quota_report OWNER TO postgres;
CREATE TABLE public.quota_reported (
    account_id bigint NOT NULL,
    epoch bigint NOT NULL,
    actor_id bigint NOT NULL
);
ALTER TABLE ONLY public.quota_reported FORCE ROW LEVEL SECURITY;
ALTER TABLE public.quota_reported OWNER TO postgres;
CREATE TABLE public.quota_usage (
    account_id bigint NOT NULL,
    day date NOT NULL,
    method text NOT NULL,
    units bigint NOT NULL
);
ALTER TABLE ONLY public.quota_usage FORCE ROW LEVEL SECURITY;
ALTER TABLE public.quota_usage OWNER TO postgres;
ALTER TABLE ONLY public.counts_reading_in ATTACH PARTITION public.counts_reading_in_2025 FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2026-01-01 00:00:00+00');
ALTER TABLE ONLY public.counts_reading_in ATTACH PARTITION public.counts_reading_in_2026 FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2027-01-01 00:00:00+00');
ALTER TABLE ONLY public.counts_reading_in ATTACH PARTITION public.counts_reading_in_2027 FOR VALUES FROM ('2027-01-01 00:00:00+00') TO ('2028-01-01 00:00:00+00');
ALTER TABLE ONLY public.counts_reading_in ATTACH PARTITION public.counts_reading_in_2028 FOR VALUES FROM ('2028-01-01 00:00:00+00') TO ('2029-01-01 00:00:00+00');
ALTER TABLE ONLY public.counts_reading_in ATTACH PARTITION public.counts_reading_in_2029 FOR VALUES FROM ('2029-01-01 00:00:00+00') TO ('2030-01-01 00:00:00+00');
ALTER TABLE ONLY public.counts_reading_in ATTACH PARTITION public.counts_reading_in_early FOR VALUES FROM (MINVALUE) TO ('2025-01-01 00:00:00+00');
ALTER TABLE ONLY public.counts_reading_in ATTACH PARTITION public.counts_reading_in_later FOR VALUES FROM ('2030-01-01 00:00:00+00') TO (MAXVALUE);
ALTER TABLE ONLY public.counts_reading_out ATTACH PARTITION public.counts_reading_out_2025 FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2026-01-01 00:00:00+00');
ALTER TABLE ONLY public.counts_reading_out ATTACH PARTITION public.counts_reading_out_2026 FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2027-01-01 00:00:00+00');
ALTER TABLE ONLY public.counts_reading_out ATTACH PARTITION public.counts_reading_out_2027 FOR VALUES FROM ('2027-01-01 00:00:00+00') TO ('2028-01-01 00:00:00+00');
ALTER TABLE ONLY public.counts_reading_out ATTACH PARTITION public.counts_reading_out_2028 FOR VALUES FROM ('2028-01-01 00:00:00+00') TO ('2029-01-01 00:00:00+00');
ALTER TABLE ONLY public.counts_reading_out ATTACH PARTITION public.counts_reading_out_2029 FOR VALUES FROM ('2029-01-01 00:00:00+00') TO ('2030-01-01 00:00:00+00');
ALTER TABLE ONLY public.counts_reading_out ATTACH PARTITION public.counts_reading_out_early FOR VALUES FROM (MINVALUE) TO ('2025-01-01 00:00:00+00');
ALTER TABLE ONLY public.counts_reading_out ATTACH PARTITION public.counts_reading_out_later FOR VALUES FROM ('2030-01-01 00:00:00+00') TO (MAXVALUE);
ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_account_name_key UNIQUE (account_name);
ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (account_id);
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_key_hash_key UNIQUE (key_hash);
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (account_id, key_id);
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_previous_hash_key UNIQUE (previous_hash);
ALTER TABLE ONLY public.counts_assignment
    ADD CONSTRAINT counts_assignment_overlap EXCLUDE USING gist (account_id WITH =, dpu_id WITH =, tstzrange(starts_at, ends_at) WITH &&) WHERE ((superseded_at IS NULL));
ALTER TABLE ONLY public.counts_assignment
    ADD CONSTRAINT counts_assignment_pkey PRIMARY KEY (account_id, assignment_id, recorded_at);
ALTER TABLE ONLY public.counts_calibration
    ADD CONSTRAINT counts_calibration_pkey PRIMARY KEY (account_id, space_id, at);
ALTER TABLE ONLY public.counts_checkpoint
    ADD CONSTRAINT counts_checkpoint_pkey PRIMARY KEY (account_id, dpu_id, upto);
ALTER TABLE ONLY public.counts_doorway
    ADD CONSTRAINT counts_doorway_pkey PRIMARY KEY (account_id, doorway_id);
ALTER TABLE ONLY public.counts_doorway_was
    ADD CONSTRAINT counts_doorway_was_pkey PRIMARY KEY (account_id, doorway_id, until);
ALTER TABLE ONLY public.counts_dpu
    ADD CONSTRAINT counts_dpu_key PRIMARY KEY (account_id, dpu_id);
ALTER TABLE ONLY public.counts_pulse_floor
    ADD CONSTRAINT counts_pulse_floor_pkey PRIMARY KEY (account_id);
ALTER TABLE ONLY public.counts_pulse
    ADD CONSTRAINT counts_pulse_pkey PRIMARY KEY (account_id, xid, nth);
ALTER TABLE ONLY public.counts_reading_in
    ADD CONSTRAINT counts_reading_in_key PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_in_2025
    ADD CONSTRAINT counts_reading_in_2025_pkey PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_in_2026
    ADD CONSTRAINT counts_reading_in_2026_pkey PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_in_2027
    ADD CONSTRAINT counts_reading_in_2027_pkey PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_in_2028
    ADD CONSTRAINT counts_reading_in_2028_pkey PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_in_2029
    ADD CONSTRAINT counts_reading_in_2029_pkey PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_in_early
    ADD CONSTRAINT counts_reading_in_early_pkey PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_in_later
    ADD CONSTRAINT counts_reading_in_later_pkey PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_more
    ADD CONSTRAINT counts_reading_more_key PRIMARY KEY (account_id, dpu_id, at, tag);
ALTER TABLE ONLY public.counts_reading_out
    ADD CONSTRAINT counts_reading_out_key PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_out_2025
    ADD CONSTRAINT counts_reading_out_2025_pkey PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_out_2026
    ADD CONSTRAINT counts_reading_out_2026_pkey PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_out_2027
    ADD CONSTRAINT counts_reading_out_2027_pkey PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_out_2028
    ADD CONSTRAINT counts_reading_out_2028_pkey PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_out_2029
    ADD CONSTRAINT counts_reading_out_2029_pkey PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_out_early
    ADD CONSTRAINT counts_reading_out_early_pkey PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_reading_out_later
    ADD CONSTRAINT counts_reading_out_later_pkey PRIMARY KEY (account_id, dpu_id, at);
ALTER TABLE ONLY public.counts_retention
    ADD CONSTRAINT counts_retention_pkey PRIMARY KEY (account_id);
ALTER TABLE ONLY public.counts_space
    ADD CONSTRAINT counts_space_pkey PRIMARY KEY (account_id, space_id);
ALTER TABLE ONLY public.counts_within
    ADD CONSTRAINT counts_within_pkey PRIMARY KEY (account_id, outer_id, space_id);
ALTER TABLE ONLY public.counts_within_was
    ADD CONSTRAINT counts_within_was_pkey PRIMARY KEY (account_id, outer_id, space_id, until);
ALTER TABLE ONLY public.idempotent_call
    ADD CONSTRAINT idempotent_call_pkey PRIMARY KEY (account_id, key_hash);
ALTER TABLE ONLY public.kalman_checkpoint
    ADD CONSTRAINT kalman_checkpoint_pkey PRIMARY KEY (account_id, filter_key, generation, "time", sequence);
ALTER TABLE ONLY public.kalman_filter
    ADD CONSTRAINT kalman_filter_account_id_filter_id_key UNIQUE (account_id, filter_id);
ALTER TABLE ONLY public.kalman_filter
    ADD CONSTRAINT kalman_filter_pkey PRIMARY KEY (account_id, filter_key);
ALTER TABLE ONLY public.kalman_observation
    ADD CONSTRAINT kalman_observation_pkey PRIMARY KEY (account_id, filter_key, generation, sequence);
ALTER TABLE ONLY public.limit_rule
    ADD CONSTRAINT limit_rule_account_id_domain_entry_keys_entry_values_key UNIQUE (account_id, domain, entry_keys, entry_values);
ALTER TABLE ONLY public.limit_rule
    ADD CONSTRAINT limit_rule_pkey PRIMARY KEY (account_id, rule_id);
ALTER TABLE ONLY public.plan
    ADD CONSTRAINT plan_pkey PRIMARY KEY (plan_id);
ALTER TABLE ONLY public.plan
    ADD CONSTRAINT plan_plan_name_key UNIQUE (plan_name);
ALTER TABLE ONLY public.quota_actor
    ADD CONSTRAINT quota_actor_pkey PRIMARY KEY (actor_id);
ALTER TABLE ONLY public.quota_epoch
    ADD CONSTRAINT quota_epoch_pkey PRIMARY KEY (account_id, epoch);
ALTER TABLE ONLY public.quota_event
    ADD CONSTRAINT quota_event_pkey PRIMARY KEY (account_id, event_id);
ALTER TABLE ONLY public.quota_report
    ADD CONSTRAINT quota_report_pkey PRIMARY KEY (account_id, epoch, actor_id, flush, field);
ALTER TABLE ONLY public.quota_reported
    ADD CONSTRAINT quota_reported_pkey PRIMARY KEY (account_id, epoch, actor_id);
ALTER TABLE ONLY public.quota_reservation
    ADD CONSTRAINT quota_reservation_pkey PRIMARY KEY (account_id, request_id);
ALTER TABLE ONLY public.quota_usage
    ADD CONSTRAINT quota_usage_pkey PRIMARY KEY (account_id, day, method);
CREATE INDEX account_plan ON public.account USING btree (plan_id) WHERE (plan_id IS NOT NULL);
CREATE INDEX counts_assignment_of_doorway ON public.counts_assignment USING btree (account_id, doorway_id, starts_at);
CREATE INDEX counts_assignment_of_dpu ON public.counts_assignment USING btree (account_id, dpu_id, starts_at);
CREATE INDEX counts_doorway_into ON public.counts_doorway USING btree (account_id, ingress_space_id);
CREATE INDEX counts_doorway_out_of ON public.counts_doorway USING btree (account_id, egress_space_id) WHERE (egress_space_id IS NOT NULL);
CREATE INDEX counts_doorway_was_into ON public.counts_doorway_was USING btree (account_id, ingress_space_id);
CREATE INDEX counts_doorway_was_out_of ON public.counts_doorway_was USING btree (account_id, egress_space_id) WHERE (egress_space_id IS NOT NULL);
CREATE INDEX counts_space_children ON public.counts_space USING btree (account_id, parent_id) WHERE (parent_id IS NOT NULL);
CREATE INDEX counts_within_space ON public.counts_within USING btree (account_id, space_id);
CREATE INDEX counts_within_was_space ON public.counts_within_was USING btree (account_id, space_id);
CREATE INDEX idempotent_call_expires ON public.idempotent_call USING btree (account_id, expires_at);
CREATE INDEX kalman_observation_in_time ON public.kalman_observation USING btree (account_id, filter_key, generation, "time", sequence);
CREATE INDEX quota_epoch_granted ON public.quota_epoch USING btree (checked_at) WHERE (granted > settled);
CREATE INDEX quota_epoch_lost ON public.quota_epoch USING btree (account_id, epoch) WHERE lost;
CREATE INDEX quota_reservation_held ON public.quota_reservation USING btree (expires_at) WHERE (state = 'held'::text);
ALTER INDEX public.counts_reading_in_key ATTACH PARTITION public.counts_reading_in_2025_pkey;
ALTER INDEX public.counts_reading_in_key ATTACH PARTITION public.counts_reading_in_2026_pkey;
ALTER INDEX public.counts_reading_in_key ATTACH PARTITION public.counts_reading_in_2027_pkey;
ALTER INDEX public.counts_reading_in_key ATTACH PARTITION public.counts_reading_in_2028_pkey;
ALTER INDEX public.counts_reading_in_key ATTACH PARTITION public.counts_reading_in_2029_pkey;
ALTER INDEX public.counts_reading_in_key ATTACH PARTITION public.counts_reading_in_early_pkey;
ALTER INDEX public.counts_reading_in_key ATTACH PARTITION public.counts_reading_in_later_pkey;
ALTER INDEX public.counts_reading_out_key ATTACH PARTITION public.counts_reading_out_2025_pkey;
ALTER INDEX public.counts_reading_out_key ATTACH PARTITION public.counts_reading_out_2026_pkey;
ALTER INDEX public.counts_reading_out_key ATTACH PARTITION public.counts_reading_out_2027_pkey;
ALTER INDEX public.counts_reading_out_key ATTACH PARTITION public.counts_reading_out_2028_pkey;
ALTER INDEX public.counts_reading_out_key ATTACH PARTITION public.counts_reading_out_2029_pkey;
ALTER INDEX public.counts_reading_out_key ATTACH PARTITION public.counts_reading_out_early_pkey;
ALTER INDEX public.counts_reading_out_key ATTACH PARTITION public.counts_reading_out_later_pkey;
CREATE TRIGGER account_events AFTER INSERT OR DELETE OR UPDATE OF quota_limit, quota_period, account_name, plan_id ON public.account FOR EACH ROW EXECUTE FUNCTION public.luna_account_events();
CREATE TRIGGER api_key_changed AFTER UPDATE OF key_hash, previous_hash, previous_expires_at, role, scopes, expires_at, revoked_at ON public.api_key FOR EACH ROW EXECUTE FUNCTION public.luna_key_changed();
CREATE TRIGGER api_key_deleted AFTER DELETE ON public.api_key FOR EACH ROW EXECUTE FUNCTION public.luna_key_changed();
CREATE TRIGGER api_key_events AFTER INSERT OR UPDATE OF key_hash, revoked_at, name, scopes, expires_at ON public.api_key FOR EACH ROW EXECUTE FUNCTION public.luna_api_key_events();
CREATE TRIGGER counts_assignment_deleted AFTER DELETE ON public.counts_assignment REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.luna_counts_all_different();
CREATE TRIGGER counts_assignment_inserted AFTER INSERT ON public.counts_assignment REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.luna_counts_all_different();
CREATE TRIGGER counts_assignment_updated AFTER UPDATE ON public.counts_assignment REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.luna_counts_all_different();
CREATE TRIGGER counts_doorway_deleted AFTER DELETE ON public.counts_doorway REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.luna_counts_all_different();
CREATE TRIGGER counts_doorway_inserted AFTER INSERT ON public.counts_doorway REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.luna_counts_all_different();
CREATE TRIGGER counts_doorway_kept AFTER UPDATE ON public.counts_doorway FOR EACH ROW WHEN (((old.ingress_space_id IS DISTINCT FROM new.ingress_space_id) OR (old.egress_space_id IS DISTINCT FROM new.egress_space_id))) EXECUTE FUNCTION public.luna_counts_keep_doorway();
CREATE TRIGGER counts_doorway_updated AFTER UPDATE ON public.counts_doorway REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.luna_counts_all_different();
CREATE TRIGGER counts_space_deleted AFTER DELETE ON public.counts_space REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.luna_counts_all_different();
CREATE TRIGGER counts_space_inserted AFTER INSERT ON public.counts_space REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.luna_counts_all_different();
CREATE TRIGGER counts_space_updated AFTER UPDATE ON public.counts_space REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.luna_counts_all_different();
CREATE TRIGGER counts_within_deleted AFTER DELETE ON public.counts_within REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.luna_counts_all_different();
CREATE TRIGGER counts_within_inserted AFTER INSERT ON public.counts_within REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.luna_counts_all_different();
CREATE TRIGGER counts_within_kept AFTER DELETE ON public.counts_within FOR EACH ROW EXECUTE FUNCTION public.luna_counts_keep_within();
CREATE TRIGGER counts_within_updated AFTER UPDATE ON public.counts_within REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.luna_counts_all_different();
CREATE TRIGGER kalman_filter_gone AFTER DELETE ON public.kalman_filter FOR EACH ROW EXECUTE FUNCTION public.luna_kalman_filter_gone();
CREATE TRIGGER limit_rule_changed AFTER INSERT OR DELETE OR UPDATE ON public.limit_rule FOR EACH ROW EXECUTE FUNCTION public.luna_limit_rule_changed();
CREATE TRIGGER plan_changed AFTER UPDATE ON public.plan FOR EACH ROW EXECUTE FUNCTION public.luna_plan_changed();
CREATE TRIGGER quota_event_kept BEFORE DELETE OR UPDATE OR TRUNCATE ON public.quota_event FOR EACH STATEMENT EXECUTE FUNCTION public.luna_quota_event_kept();
ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_plan_id_fkey FOREIGN KEY (plan_id) REFERENCES public.plan(plan_id);
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.counts_assignment
    ADD CONSTRAINT counts_assignment_doorway FOREIGN KEY (account_id, doorway_id) REFERENCES public.counts_doorway(account_id, doorway_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.counts_assignment
    ADD CONSTRAINT counts_assignment_dpu FOREIGN KEY (account_id, dpu_id) REFERENCES public.counts_dpu(account_id, dpu_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.counts_calibration
    ADD CONSTRAINT counts_calibration_account_id_space_id_fkey FOREIGN KEY (account_id, space_id) REFERENCES public.counts_space(account_id, space_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.counts_doorway
    ADD CONSTRAINT counts_doorway_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.counts_doorway
    ADD CONSTRAINT counts_doorway_egress FOREIGN KEY (account_id, egress_space_id) REFERENCES public.counts_space(account_id, space_id);
ALTER TABLE ONLY public.counts_doorway
    ADD CONSTRAINT counts_doorway_ingress FOREIGN KEY (account_id, ingress_space_id) REFERENCES public.counts_space(account_id, space_id);
ALTER TABLE ONLY public.counts_doorway_was
    ADD CONSTRAINT counts_doorway_was_account_id_doorway_id_fkey FOREIGN KEY (account_id, doorway_id) REFERENCES public.counts_doorway(account_id, doorway_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.counts_dpu
    ADD CONSTRAINT counts_dpu_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.counts_retention
    ADD CONSTRAINT counts_retention_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.counts_space
    ADD CONSTRAINT counts_space_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.counts_space
    ADD CONSTRAINT counts_space_parent FOREIGN KEY (account_id, parent_id) REFERENCES public.counts_space(account_id, space_id);
ALTER TABLE ONLY public.counts_within
    ADD CONSTRAINT counts_within_account_id_outer_id_fkey FOREIGN KEY (account_id, outer_id) REFERENCES public.counts_space(account_id, space_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.counts_within
    ADD CONSTRAINT counts_within_account_id_space_id_fkey FOREIGN KEY (account_id, space_id) REFERENCES public.counts_space(account_id, space_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.counts_within_was
    ADD CONSTRAINT counts_within_was_account_id_outer_id_fkey FOREIGN KEY (account_id, outer_id) REFERENCES public.counts_space(account_id, space_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.counts_within_was
    ADD CONSTRAINT counts_within_was_account_id_space_id_fkey FOREIGN KEY (account_id, space_id) REFERENCES public.counts_space(account_id, space_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.idempotent_call
    ADD CONSTRAINT idempotent_call_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.kalman_checkpoint
    ADD CONSTRAINT kalman_checkpoint_account_id_filter_key_fkey FOREIGN KEY (account_id, filter_key) REFERENCES public.kalman_filter(account_id, filter_key) ON DELETE CASCADE;
ALTER TABLE ONLY public.kalman_filter
    ADD CONSTRAINT kalman_filter_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.limit_rule
    ADD CONSTRAINT limit_rule_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.quota_epoch
    ADD CONSTRAINT quota_epoch_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.quota_report
    ADD CONSTRAINT quota_report_account_id_epoch_fkey FOREIGN KEY (account_id, epoch) REFERENCES public.quota_epoch(account_id, epoch) ON DELETE CASCADE;
ALTER TABLE ONLY public.quota_reported
    ADD CONSTRAINT quota_reported_account_id_epoch_fkey FOREIGN KEY (account_id, epoch) REFERENCES public.quota_epoch(account_id, epoch) ON DELETE CASCADE;
ALTER TABLE ONLY public.quota_reservation
    ADD CONSTRAINT quota_reservation_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.quota_usage
    ADD CONSTRAINT quota_usage_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id) ON DELETE CASCADE;
ALTER TABLE public.account ENABLE ROW LEVEL SECURITY;
CREATE POLICY account_admin ON public.account TO luna_app USING ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text)) WITH CHECK ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text));
CREATE POLICY account_own ON public.account FOR SELECT TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY account_owner ON public.account TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.api_key ENABLE ROW LEVEL SECURITY;
CREATE POLICY api_key_admin ON public.api_key TO luna_app USING ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text)) WITH CHECK ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text));
CREATE POLICY api_key_own ON public.api_key FOR SELECT TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY api_key_owner ON public.api_key TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_assignment ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_assignment_own ON public.counts_assignment TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_assignment_owner ON public.counts_assignment TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_calibration ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_calibration_own ON public.counts_calibration TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_calibration_owner ON public.counts_calibration TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_checkpoint ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_checkpoint_own ON public.counts_checkpoint TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_checkpoint_owner ON public.counts_checkpoint TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_doorway ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_doorway_own ON public.counts_doorway TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_doorway_owner ON public.counts_doorway TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_doorway_was ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_doorway_was_own ON public.counts_doorway_was TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_doorway_was_owner ON public.counts_doorway_was TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_dpu ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_dpu_own ON public.counts_dpu TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_dpu_owner ON public.counts_dpu TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_pulse ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.counts_pulse_floor ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_pulse_floor_own ON public.counts_pulse_floor TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_pulse_floor_owner ON public.counts_pulse_floor TO postgres USING (true) WITH CHECK (true);
CREATE POLICY counts_pulse_own ON public.counts_pulse TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_pulse_owner ON public.counts_pulse TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_in ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_in_2025 ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_in_2025_own ON public.counts_reading_in_2025 TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_in_2025_owner ON public.counts_reading_in_2025 TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_in_2026 ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_in_2026_own ON public.counts_reading_in_2026 TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_in_2026_owner ON public.counts_reading_in_2026 TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_in_2027 ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_in_2027_own ON public.counts_reading_in_2027 TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_in_2027_owner ON public.counts_reading_in_2027 TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_in_2028 ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_in_2028_own ON public.counts_reading_in_2028 TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_in_2028_owner ON public.counts_reading_in_2028 TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_in_2029 ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_in_2029_own ON public.counts_reading_in_2029 TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_in_2029_owner ON public.counts_reading_in_2029 TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_in_early ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_in_early_own ON public.counts_reading_in_early TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_in_early_owner ON public.counts_reading_in_early TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_in_later ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_in_later_own ON public.counts_reading_in_later TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_in_later_owner ON public.counts_reading_in_later TO postgres USING (true) WITH CHECK (true);
CREATE POLICY counts_reading_in_own ON public.counts_reading_in TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_in_owner ON public.counts_reading_in TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_more ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_more_own ON public.counts_reading_more TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_more_owner ON public.counts_reading_more TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_out ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.counts_reading_out_2025 ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_out_2025_own ON public.counts_reading_out_2025 TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_out_2025_owner ON public.counts_reading_out_2025 TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_out_2026 ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_out_2026_own ON public.counts_reading_out_2026 TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_out_2026_owner ON public.counts_reading_out_2026 TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_out_2027 ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_out_2027_own ON public.counts_reading_out_2027 TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_out_2027_owner ON public.counts_reading_out_2027 TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_out_2028 ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_out_2028_own ON public.counts_reading_out_2028 TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_out_2028_owner ON public.counts_reading_out_2028 TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_out_2029 ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_out_2029_own ON public.counts_reading_out_2029 TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_out_2029_owner ON public.counts_reading_out_2029 TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_out_early ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_out_early_own ON public.counts_reading_out_early TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_out_early_owner ON public.counts_reading_out_early TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_reading_out_later ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_reading_out_later_own ON public.counts_reading_out_later TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_out_later_owner ON public.counts_reading_out_later TO postgres USING (true) WITH CHECK (true);
CREATE POLICY counts_reading_out_own ON public.counts_reading_out TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_reading_out_owner ON public.counts_reading_out TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_retention ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_retention_own ON public.counts_retention TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_retention_owner ON public.counts_retention TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_space ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_space_own ON public.counts_space TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_space_owner ON public.counts_space TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_within ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_within_own ON public.counts_within TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_within_owner ON public.counts_within TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.counts_within_was ENABLE ROW LEVEL SECURITY;
CREATE POLICY counts_within_was_own ON public.counts_within_was TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY counts_within_was_owner ON public.counts_within_was TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.idempotent_call ENABLE ROW LEVEL SECURITY;
CREATE POLICY idempotent_call_own ON public.idempotent_call TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY idempotent_call_owner ON public.idempotent_call TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.kalman_checkpoint ENABLE ROW LEVEL SECURITY;
CREATE POLICY kalman_checkpoint_admin ON public.kalman_checkpoint TO luna_app USING ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text));
CREATE POLICY kalman_checkpoint_own ON public.kalman_checkpoint TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY kalman_checkpoint_owner ON public.kalman_checkpoint TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.kalman_filter ENABLE ROW LEVEL SECURITY;
CREATE POLICY kalman_filter_admin ON public.kalman_filter TO luna_app USING ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text));
CREATE POLICY kalman_filter_own ON public.kalman_filter TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY kalman_filter_owner ON public.kalman_filter TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.kalman_observation ENABLE ROW LEVEL SECURITY;
CREATE POLICY kalman_observation_admin ON public.kalman_observation TO luna_app USING ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text));
CREATE POLICY kalman_observation_own ON public.kalman_observation TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY kalman_observation_owner ON public.kalman_observation TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.limit_rule ENABLE ROW LEVEL SECURITY;
CREATE POLICY limit_rule_own ON public.limit_rule TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif"))) WITH CHECK ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY limit_rule_owner ON public.limit_rule TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.plan ENABLE ROW LEVEL SECURITY;
CREATE POLICY plan_admin ON public.plan TO luna_app USING ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text)) WITH CHECK ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text));
CREATE POLICY plan_owner ON public.plan TO postgres USING (true) WITH CHECK (true);
CREATE POLICY plan_read ON public.plan FOR SELECT TO luna_app USING (true);
ALTER TABLE public.quota_actor ENABLE ROW LEVEL SECURITY;
CREATE POLICY quota_actor_owner ON public.quota_actor TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.quota_epoch ENABLE ROW LEVEL SECURITY;
CREATE POLICY quota_epoch_owner ON public.quota_epoch TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.quota_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY quota_event_own ON public.quota_event FOR SELECT TO luna_app USING (((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")) OR (( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text)));
CREATE POLICY quota_event_owner ON public.quota_event TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.quota_report ENABLE ROW LEVEL SECURITY;
CREATE POLICY quota_report_owner ON public.quota_report TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.quota_reported ENABLE ROW LEVEL SECURITY;
CREATE POLICY quota_reported_owner ON public.quota_reported TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.quota_reservation ENABLE ROW LEVEL SECURITY;
CREATE POLICY quota_reservation_owner ON public.quota_reservation TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.quota_usage ENABLE ROW LEVEL SECURITY;
CREATE POLICY quota_usage_own ON public.quota_usage FOR SELECT TO luna_app USING (((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")) OR (( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text)));
CREATE POLICY quota_usage_owner ON public.quota_usage TO postgres USING (true) WITH CHECK (true);
GRANT USAGE ON SCHEMA public TO luna_app;
REVOKE ALL ON FUNCTION public.luna_account_events() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.luna_api_key_events() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.luna_counts_all_different() FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_all_different() TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_announce(account bigint, dpus integer[], since timestamp with time zone[], every integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_announce(account bigint, dpus integer[], since timestamp with time zone[], every integer) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_at(account bigint, space bigint, t timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_at(account bigint, space bigint, t timestamp with time zone) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_due(account bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_due(account bigint) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_event_tag(event text, direction smallint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_event_tag(event text, direction smallint) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_fill(account bigint, dpus integer[], uptos timestamp with time zone[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_fill(account bigint, dpus integer[], uptos timestamp with time zone[]) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_fold_late(account bigint, dpus integer[], ats timestamp with time zone[], tags integer[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_fold_late(account bigint, dpus integer[], ats timestamp with time zone[], tags integer[]) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_horizon_key(account bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_horizon_key(account bigint) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_ingest(account bigint, dedupes smallint[], dpus integer[], ats timestamp with time zone[], directions smallint[], events text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_ingest(account bigint, dedupes smallint[], dpus integer[], ats timestamp with time zone[], directions smallint[], events text[]) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_keep_doorway() FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_keep_doorway() TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_keep_within() FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_keep_within() TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_lasting(account bigint, dpu integer, grain integer, first timestamp with time zone, cut timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_lasting(account bigint, dpu integer, grain integer, first timestamp with time zone, cut timestamp with time zone) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_move_horizon(account bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_move_horizon(account bigint) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_parts(account bigint, space bigint, known timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_parts(account bigint, space bigint, known timestamp with time zone) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_parts_known(account bigint, space bigint, known timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_parts_known(account bigint, space bigint, known timestamp with time zone) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_prefix(account bigint, dpu integer, t timestamp with time zone, fore timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_prefix(account bigint, dpu integer, t timestamp with time zone, fore timestamp with time zone) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_rebuild(after_account bigint, after_dpu integer, every integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_rebuild(after_account bigint, after_dpu integer, every integer) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_retained(after_account bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_retained(after_account bigint) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_roll_off(account bigint, after_dpu integer, most integer, OUT next_dpu integer, OUT readings bigint, OUT sums bigint, OUT busy boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_roll_off(account bigint, after_dpu integer, most integer, OUT next_dpu integer, OUT readings bigint, OUT sums bigint, OUT busy boolean) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_roll_off_plan(account bigint, after_dpu integer, due timestamp with time zone, OUT next_dpu integer, OUT readings bigint, OUT sums bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_roll_off_plan(account bigint, after_dpu integer, due timestamp with time zone, OUT next_dpu integer, OUT readings bigint, OUT sums bigint) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_take(account bigint, dedupes smallint[], dpus integer[], ats timestamp with time zone[], directions smallint[], events text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_take(account bigint, dedupes smallint[], dpus integer[], ats timestamp with time zone[], directions smallint[], events text[]) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_counts_unassigned(account bigint, dpu integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_counts_unassigned(account bigint, dpu integer) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_find_account(name text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_find_account(name text) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_find_key(hash bytea, OUT account_id bigint, OUT key_id bigint, OUT role text, OUT scopes text[], OUT expires_at timestamp with time zone, OUT revoked_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_find_key(hash bytea, OUT account_id bigint, OUT key_id bigint, OUT role text, OUT scopes text[], OUT expires_at timestamp with time zone, OUT revoked_at timestamp with time zone) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_kalman_append(p_accounts bigint[], p_keys bigint[], p_generations bigint[], p_positions bigint[], p_counts bigint[], p_max_sequences bigint[], p_owners bigint[], p_at bigint[], p_sequences bigint[], p_times double precision[], p_numbers bytea[], p_late_owners bigint[], p_late_times double precision[], p_late_sequences bigint[], p_checkpoint_owners bigint[], p_checkpoint_times double precision[], p_checkpoint_sequences bigint[], p_checkpoint_states bytea[], p_format integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_kalman_append(p_accounts bigint[], p_keys bigint[], p_generations bigint[], p_positions bigint[], p_counts bigint[], p_max_sequences bigint[], p_owners bigint[], p_at bigint[], p_sequences bigint[], p_times double precision[], p_numbers bytea[], p_late_owners bigint[], p_late_times double precision[], p_late_sequences bigint[], p_checkpoint_owners bigint[], p_checkpoint_times double precision[], p_checkpoint_sequences bigint[], p_checkpoint_states bytea[], p_format integer) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_kalman_filter_gone() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.luna_limit_rule_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.luna_period_end(period text, start timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_period_end(period text, start timestamp with time zone) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_period_start(period text, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_period_start(period text, at timestamp with time zone) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_plan_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.luna_quota_alive(p_account bigint, p_epoch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_quota_alive(p_account bigint, p_epoch bigint) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_quota_beat(p_actor bigint, p_quiet_s double precision, p_dead_s double precision, OUT kind text, OUT account_id bigint, OUT epoch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_quota_beat(p_actor bigint, p_quiet_s double precision, p_dead_s double precision, OUT kind text, OUT account_id bigint, OUT epoch bigint) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_quota_close(p_account bigint, p_epoch bigint, p_dead_s double precision) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.luna_quota_count(p_account bigint, p_epoch bigint, p_fields text[], p_units bigint[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.luna_quota_end_reservation(p_account bigint, p_request text, p_actual bigint, OUT changed boolean, OUT state text, OUT cost bigint, OUT actual bigint, OUT expires_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_quota_end_reservation(p_account bigint, p_request text, p_actual bigint, OUT changed boolean, OUT state text, OUT cost bigint, OUT actual bigint, OUT expires_at timestamp with time zone) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_quota_event(p_account bigint, p_kind text, p_data jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_quota_event(p_account bigint, p_kind text, p_data jsonb) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_quota_event_kept() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.luna_quota_leave(p_actor bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_quota_leave(p_actor bigint) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_quota_limits(p_account bigint, OUT account_capacity bigint, OUT account_unit_us bigint, OUT key_capacity bigint, OUT key_unit_us bigint, OUT concurrent_calls bigint, OUT report_only boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_quota_limits(p_account bigint, OUT account_capacity bigint, OUT account_unit_us bigint, OUT key_capacity bigint, OUT key_unit_us bigint, OUT concurrent_calls bigint, OUT report_only boolean) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_quota_open(p_account bigint, p_seen bigint, p_chunk bigint, OUT state text, OUT epoch bigint, OUT version bigint, OUT quota_limit bigint, OUT base bigint, OUT granted bigint, OUT grant_no bigint, OUT period_end timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_quota_open(p_account bigint, p_seen bigint, p_chunk bigint, OUT state text, OUT epoch bigint, OUT version bigint, OUT quota_limit bigint, OUT base bigint, OUT granted bigint, OUT grant_no bigint, OUT period_end timestamp with time zone) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_quota_report(p_actor bigint, p_account bigint, p_epoch bigint, p_flushes bigint[], p_fields text[], p_units bigint[], p_dead_s double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_quota_report(p_actor bigint, p_account bigint, p_epoch bigint, p_flushes bigint[], p_fields text[], p_units bigint[], p_dead_s double precision) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_quota_reserve(p_account bigint, p_request text, p_cost bigint, p_ttl_ms bigint, OUT made boolean, OUT state text, OUT cost bigint, OUT actual bigint, OUT expires_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_quota_reserve(p_account bigint, p_request text, p_cost bigint, p_ttl_ms bigint, OUT made boolean, OUT state text, OUT cost bigint, OUT actual bigint, OUT expires_at timestamp with time zone) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_quota_retire(p_account bigint, p_epoch bigint, p_grant_no bigint, p_spent bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_quota_retire(p_account bigint, p_epoch bigint, p_grant_no bigint, p_spent bigint) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_quota_settle(p_account bigint, p_epoch bigint, p_flush bigint, p_fields text[], p_units bigint[], p_chunk bigint, OUT state text, OUT version bigint, OUT quota_limit bigint, OUT base bigint, OUT granted bigint, OUT grant_no bigint, OUT settled bigint, OUT added bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_quota_settle(p_account bigint, p_epoch bigint, p_flush bigint, p_fields text[], p_units bigint[], p_chunk bigint, OUT state text, OUT version bigint, OUT quota_limit bigint, OUT base bigint, OUT granted bigint, OUT grant_no bigint, OUT settled bigint, OUT added bigint) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_quota_unreserve(r public.quota_reservation, p_state text, p_actual bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.luna_touch_keys(account_ids bigint[], key_ids bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_touch_keys(account_ids bigint[], key_ids bigint[]) TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.account TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.api_key TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_assignment TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_calibration TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_checkpoint TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_doorway TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_doorway_was TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_dpu TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_pulse TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_pulse_floor TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_in TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_more TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_out TO luna_app;
GRANT SELECT ON TABLE public.counts_reading TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_in_2025 TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_in_2026 TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_in_2027 TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_in_2028 TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_in_2029 TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_in_early TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_in_later TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_out_2025 TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_out_2026 TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_out_2027 TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_out_2028 TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_out_2029 TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_out_early TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_reading_out_later TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_retention TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_space TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_within TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.counts_within_was TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.idempotent_call TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.kalman_checkpoint TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.kalman_filter TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.kalman_observation TO luna_app;
GRANT SELECT,INSERT,DELETE ON TABLE public.limit_rule TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.plan TO luna_app;
GRANT SELECT ON TABLE public.quota_event TO luna_app;
GRANT SELECT ON TABLE public.quota_usage TO luna_app;
