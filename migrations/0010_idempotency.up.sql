-- Idempotency keys of changes, and what their calls were answered; when an API key was last changed, and its event.
--
-- A row without an answer is a claim: its call runs, or its server died. Neither the key nor the answer can be read
-- here: the key is a keyed hash, and the answer is encrypted with what only the caller's key gives.
--
-- Locks: new tables; api_key gets a column with a default that is evaluated once, nothing is rewritten.

CREATE TABLE idempotent_call (
    account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    key_hash bytea NOT NULL CHECK (octet_length(key_hash) = 32),
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    answer bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, key_hash)
);
COMMENT ON COLUMN idempotent_call.answer IS 'sealed (server/edge/seal.h); NULL: not answered yet';

CREATE INDEX idempotent_call_expires ON idempotent_call (account_id, expires_at);

ALTER TABLE idempotent_call ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotent_call FORCE ROW LEVEL SECURITY;
CREATE POLICY idempotent_call_owner ON idempotent_call TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY idempotent_call_own ON idempotent_call TO luna_app
    USING (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint))
    WITH CHECK (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint));

GRANT SELECT, INSERT, UPDATE, DELETE ON idempotent_call TO luna_app;

ALTER TABLE api_key ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();

CREATE OR REPLACE FUNCTION luna_api_key_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
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
DROP TRIGGER api_key_events ON api_key;
CREATE TRIGGER api_key_events AFTER INSERT OR UPDATE OF key_hash, revoked_at, name, scopes, expires_at ON api_key
    FOR EACH ROW EXECUTE FUNCTION luna_api_key_events();

-- ---- rules of Envoy's descriptors ----------------------------------------------------------------

CREATE TABLE limit_rule (
    account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    rule_id bigint GENERATED ALWAYS AS IDENTITY,
    domain text NOT NULL CHECK (char_length(domain) BETWEEN 1 AND 100),
    entry_keys text[] NOT NULL CHECK (cardinality(entry_keys) BETWEEN 1 AND 8),
    entry_values text[] NOT NULL CHECK (cardinality(entry_values) = cardinality(entry_keys)),
    capacity bigint NOT NULL,
    unit_us bigint NOT NULL,
    units bigint NOT NULL,
    period_ms bigint NOT NULL,
    report_only boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, rule_id),
    UNIQUE (account_id, domain, entry_keys, entry_values)
);
COMMENT ON COLUMN limit_rule.entry_values IS 'an empty one: any value, each with a limit of its own';

ALTER TABLE limit_rule ENABLE ROW LEVEL SECURITY;
ALTER TABLE limit_rule FORCE ROW LEVEL SECURITY;
CREATE POLICY limit_rule_owner ON limit_rule TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY limit_rule_own ON limit_rule TO luna_app
    USING (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint))
    WITH CHECK (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint));
GRANT SELECT, INSERT, DELETE ON limit_rule TO luna_app;

CREATE FUNCTION luna_limit_rule_changed() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('luna_limit_rules', coalesce(NEW.account_id, OLD.account_id)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER limit_rule_changed AFTER INSERT OR UPDATE OR DELETE ON limit_rule
    FOR EACH ROW EXECUTE FUNCTION luna_limit_rule_changed();
REVOKE ALL ON FUNCTION luna_limit_rule_changed FROM PUBLIC;
