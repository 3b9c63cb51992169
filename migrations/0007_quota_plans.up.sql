-- Plans, what a quota is counted over, and the log of events.
--
-- Locks: new tables; account gets columns with constant defaults, nothing is rewritten.

CREATE TABLE plan (
    plan_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan_name text NOT NULL UNIQUE CHECK (char_length(plan_name) BETWEEN 1 AND 100),
    quota_limit bigint NOT NULL CHECK (quota_limit >= 0),
    quota_period text NOT NULL CHECK (quota_period IN ('total', 'day', 'week', 'month', 'year')),
    account_capacity bigint NOT NULL DEFAULT 0,
    account_unit_us bigint NOT NULL DEFAULT 0,
    key_capacity bigint NOT NULL DEFAULT 0,
    key_unit_us bigint NOT NULL DEFAULT 0,
    concurrent_calls bigint NOT NULL DEFAULT 0 CHECK (concurrent_calls >= 0),
    report_only boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN plan.account_capacity IS 'units at once for all keys together; 0: no rate limit';
COMMENT ON COLUMN plan.account_unit_us IS 'microseconds in which one unit comes back';

ALTER TABLE account
    ADD COLUMN plan_id bigint REFERENCES plan,
    ADD COLUMN quota_period text NOT NULL DEFAULT 'total'
        CHECK (quota_period IN ('total', 'day', 'week', 'month', 'year')),
    ADD COLUMN period_start timestamptz NOT NULL DEFAULT 'epoch';

CREATE INDEX account_plan ON account (plan_id) WHERE plan_id IS NOT NULL;

CREATE TABLE quota_event (
    account_id bigint NOT NULL,
    event_id bigint GENERATED ALWAYS AS IDENTITY,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL,
    by_account_id bigint,
    data jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (account_id, event_id)
);
COMMENT ON TABLE quota_event IS 'append-only; outlives its account';

-- ---- who sees what ------------------------------------------------------------------------------

ALTER TABLE plan ENABLE ROW LEVEL SECURITY;
ALTER TABLE plan FORCE ROW LEVEL SECURITY;
ALTER TABLE quota_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE quota_event FORCE ROW LEVEL SECURITY;
CREATE POLICY plan_owner ON plan TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY plan_read ON plan FOR SELECT TO luna_app USING (true);
CREATE POLICY plan_admin ON plan TO luna_app
    USING ((SELECT current_setting('luna.role', true)) = 'admin')
    WITH CHECK ((SELECT current_setting('luna.role', true)) = 'admin');
CREATE POLICY quota_event_owner ON quota_event TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY quota_event_own ON quota_event FOR SELECT TO luna_app
    USING (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint)
           OR (SELECT current_setting('luna.role', true)) = 'admin');

GRANT SELECT, INSERT, UPDATE, DELETE ON plan TO luna_app;
GRANT SELECT ON quota_event TO luna_app;

-- ---- events -------------------------------------------------------------------------------------

CREATE FUNCTION luna_quota_event(p_account bigint, p_kind text, p_data jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
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

CREATE FUNCTION luna_quota_event_kept() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'quota events are not changed' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER quota_event_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON quota_event
    FOR EACH STATEMENT EXECUTE FUNCTION luna_quota_event_kept();

CREATE FUNCTION luna_account_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
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
CREATE TRIGGER account_events
    AFTER INSERT OR DELETE OR UPDATE OF quota_limit, quota_period, account_name, plan_id ON account
    FOR EACH ROW EXECUTE FUNCTION luna_account_events();

CREATE FUNCTION luna_api_key_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    what text := 'key_created';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        what := CASE WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL THEN 'key_revoked'
                     WHEN OLD.key_hash <> NEW.key_hash THEN 'key_rotated' END;
    END IF;
    IF what IS NOT NULL THEN
        PERFORM public.luna_quota_event(NEW.account_id, what, jsonb_build_object(
            'key_id', NEW.key_id, 'prefix', NEW.key_prefix, 'role', NEW.role));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER api_key_events AFTER INSERT OR UPDATE OF key_hash, revoked_at ON api_key
    FOR EACH ROW EXECUTE FUNCTION luna_api_key_events();

-- A plan's change reaches the accounts that have it; one that was given its own limit keeps that.
CREATE FUNCTION luna_plan_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
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
CREATE TRIGGER plan_changed AFTER UPDATE ON plan FOR EACH ROW EXECUTE FUNCTION luna_plan_changed();

-- ---- periods ------------------------------------------------------------------------------------

CREATE FUNCTION luna_period_start(period text, at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE period WHEN 'total' THEN 'epoch'::timestamptz
           ELSE date_trunc(period, at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' END
$$;

CREATE FUNCTION luna_period_end(period text, start timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE period WHEN 'total' THEN 'infinity'::timestamptz
           ELSE (start AT TIME ZONE 'UTC' + ('1 ' || period)::interval) AT TIME ZONE 'UTC' END
$$;

REVOKE ALL ON FUNCTION luna_quota_event, luna_quota_event_kept, luna_account_events, luna_api_key_events,
    luna_plan_changed, luna_period_start, luna_period_end FROM PUBLIC;
GRANT EXECUTE ON FUNCTION luna_quota_event, luna_period_start, luna_period_end TO luna_app;
