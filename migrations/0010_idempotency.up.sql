-- Idempotency keys of changes, and what their calls were answered; when an API key was last changed, and its event.
--
-- A row without an answer is a claim: its call runs, or its server died. Neither the key nor the answer can be read
-- here: the key is a keyed hash, and the answer is encrypted with what only the caller's key gives.
--
-- Locks: a new table; api_key gets a column with a default that is evaluated once, nothing is rewritten.

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
